"""Beam and detector for which the table of blur and saturation was computed.

They lie apart from the table, so that checking settings loads no numerical library.
"""

VOLTAGE_KV = 300.0
INNER_MRAD = 62.0
OUTER_MRAD = 250.0
