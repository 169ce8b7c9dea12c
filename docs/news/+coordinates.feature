Nodes can say where they are in the network, and `?near=` shows the nodes, instances and checks first that are near; `disable_coordinates` is heeded.
