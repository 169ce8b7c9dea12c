"""
The agent: a server, and the edges at which it is asked.

Everything that touches the machine is put together here: the data directory, the network, the log. What runs is a
Twisted service, whoever starts it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul import CONSUL_VERSION, __version__
from txconsul.agent.configuration import Configuration
from txconsul.agent.facts import AgentFacts
from txconsul.agent.process import notify, raise_file_limit
from txconsul.agent.server import NobodyElse, Server, ServerSettings
from txconsul.codec.duration import SECOND
from txconsul.codec.gotime import pack_time
from txconsul.endpoints.methods import METHODS
from txconsul.errors import TxconsulError
from txconsul.http.api import API
from txconsul.http.bodies import Bodies
from txconsul.http.parameters import ReadDefaults
from txconsul.http.server import HTTPFactory
from txconsul.http.settings import HTTPSettings
from txconsul.http.table import ROUTES
from txconsul.interfaces import INetwork
from txconsul.leader.reconcile import own_registration

__all__ = ["Agent"]

#: Seconds that answers under way are given when the agent stops.
STOP_SECONDS = 5.0
