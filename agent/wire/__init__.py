"""What goes over the wire: points, their frozen schema, line protocol and the message around it.

Edge and server share this room and nothing else.
"""
