A group begins with the configured settings of autopilot, and `/v1/operator/autopilot/configuration` shows and changes them.
