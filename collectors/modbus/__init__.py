"""The Modbus engine, in rooms that build on each other: transport, planning, decoding, reading, scheduling."""
