"""The machine side of Lini: domain types, the Modbus engine, equipment profiles, simulated equipment.

Nothing here knows of MQTT, databases or pages.
"""
