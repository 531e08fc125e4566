"""The edge's way out: points become lines, lines become messages on disk, messages go by MQTT.

`outbox` gathers, `spool` keeps, `publisher` sends. Nothing leaves the spool until the sink has
said that it is safe in the database.
"""
