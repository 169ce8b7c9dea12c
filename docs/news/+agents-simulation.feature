`python -m txconsul.simulation agents` runs whole agents through crashes, pauses, cuts and bad disks, and checks that what their clients saw over HTTP is linearizable.
