`/v1/operator/autopilot/health` and `/state`, `/v1/operator/raft/peer`, `/v1/operator/raft/transfer-leader` and `/v1/operator/usage` are served.
