"""
Every interface that a swap-in may provide.

Read this second, after README. Each interface has one contract test, run over every provider. They are
verified once, when the agent is assembled, never on a request's path.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

__all__ = [
    "IAddressProvider",
    "ICaller",
    "ICheck",
    "ICheckKind",
    "ILogStore",
    "IMetricSink",
    "INetwork",
    "IRaftTransport",
    "ISnapshotReceiver",
    "ISnapshotSink",
    "ISnapshotStore",
    "IStableStore",
    "IStateMachine",
]


class INetwork(Interface):
    """
    Where connections come from and go to: the operating system's sockets, or a simulation.

    Nothing above an INetwork knows which one runs.
    """

    clock = Attribute("An L{IReactorTime} whose C{seconds()} is monotonic.")

    def listen(description, factory):
        """
        Accept connections.

        @param description: a Twisted server endpoint string, such as C{tcp:8500:interface=127.0.0.1}, or
            C{unix:PATH}.
        @param factory: an L{IProtocolFactory}; each protocol is given an L{ITransport}.
        @return: a Deferred firing with an L{IListeningPort}, or failing with
            L{twisted.internet.error.CannotListenError}.
        """

    def connect(description, factory):
        """
        Open one connection.

        @return: a Deferred firing with the protocol once it is connected.
        """

    def resolve(name):
        """
        Look a host's name up; an address is its own.

        @return: a Deferred firing with an address as text, or failing with
            L{twisted.internet.error.DNSLookupError}.
        """

    def resolve_all(name):
        """
        Look a host's name up, and take all its addresses, of IPv4 and of IPv6.

        @return: a Deferred firing with a list of addresses as text, each once and at least one, in the resolver's
            order; or failing as with L{resolve}.
        """

    def datagrams(description, receiver):
        """
        Send and receive datagrams.

        @param description: C{udp:PORT:interface=ADDRESS}; port 0 is any that is free. What is sent comes from there.
        @param receiver: a L{twisted.internet.protocol.DatagramProtocol}. It is told C{datagramReceived(data, (host,
            port))}; its C{transport} has C{write(data, (host, port))}, which may lose what it is given, and
            C{connect(host, port)} for who deals with one other side only: then C{write(data, None)} serves, and the
            receiver is told C{connectionRefused()} if nobody is there, or C{stopProtocol()} where the reactor ends it
            for that.
        @return: a Deferred firing with an L{IListeningPort}, or failing with
            L{twisted.internet.error.CannotListenError}.
        """


class IAddressProvider(Interface):
    """
    Who knows where other agents are, such as a cloud's API: a Twisted plugin, found by
    C{twisted.plugin.getPlugins}. C{retry_join} asks for it with C{provider=NAME key=value ...}.
    """

    name = Attribute("What C{provider} says.")

    def addresses(settings, network):
        """
        Look for them, anew with each try to join.

        @param settings: the other keys and their values, a dict of strings.
        @param network: an L{INetwork}, with its clock.
        @return: a Deferred firing with a list of texts: addresses or names, with or without a port, as C{retry_join}
            takes them. Cancelling it breaks off. What it fails with is told in the log, and the others of
            C{retry_join} are tried all the same.
        @raise ValueError: the settings are not usable; the text says why.
        """


class ILogStore(Interface):
    """
    Durable Raft entries, numbered without gaps. Called from the reactor's thread only.

    C{first} and C{last} are 0 while the log is empty.
    """

    first = Attribute("Index of the oldest entry kept.")
    last = Attribute("Index of the newest entry taken, durable or not.")

    def append(entries):
        """
        Take entries that follow the newest one. Not durable until L{sync} has fired.

        @param entries: a list of L{txconsul.records.raft.Entry}, kept by reference. The first entry of an
            empty log may have any index.
        @raise GapInLog: the first index is not the newest plus one. Nothing was taken.
        @raise DiskFull: there is no room. Nothing was taken; ask again when there is.
        @raise DiskFailed: an earlier write or sync failed; the store refuses all work.
        """

    def sync():
        """
        Make everything appended before this call durable, in the log's own thread.

        @return: a Deferred firing with the newest durable index. Calls may overlap and fire in order;
            everything appended while a sync is under way goes down together with the next one. It fails
            with L{DiskFull} (the entries not yet durable were dropped: C{last} has gone back) or
            L{DiskFailed} (a failed fsync: the store refuses all work after that).
        """

    def entry(index):
        """
        One entry.

        @raise KeyError: it is not kept (compacted away, or not there yet).
        """

    def entries(low, high, bytes_max):
        """
        The entries from C{low} up to and without C{high}: at least the first, then as many more as fit into
        C{bytes_max} bytes of data.

        @raise KeyError: C{low} is not kept.
        """

    def term(index):
        """The term of one entry, without reading its data where that can be avoided. @raise KeyError: as entry."""

    def truncate_after(index):
        """
        Forget every entry after C{index}: they conflict with the leader's. Durable with the next L{sync}.
        """

    def compact(index):
        """Entries up to and with C{index} may go; whole segments are deleted when it suits. Cheap."""

    def reset(index):
        """
        Forget everything; the next entry is C{index} plus one (a snapshot was installed). Durable with the next
        L{sync}.
        """

    def close():
        """
        Finish what is under way and release files and the thread.

        @return: a Deferred firing when all is released.
        """


class IStableStore(Interface):
    """Term and vote: the two facts that a server must not forget (Raft 5.1, figure 2)."""

    def load():
        """
        What was stored last.

        @return: C{(term, vote)}; C{(0, "")} in a new store. C{vote} is a server's id.
        @raise Corrupt: the record is damaged; the message names the file.
        """

    def store(term, vote):
        """
        Make term and vote durable before this returns (two small writes a year; nothing is gained by waiting for it
        elsewhere).

        @raise DiskFull: there is no room; the earlier record stands.
        @raise DiskFailed: the sync failed.
        """


class ISnapshotSink(Interface):
    """A snapshot being written. Either L{finish} or L{abort} is called, once."""

    def write(data):
        """Add bytes of the state. @raise DiskFull: L{abort} follows."""

    def finish():
        """
        Make it durable and the newest; older ones beyond the number kept are deleted.

        @return: a Deferred firing with its L{txconsul.records.snapshot.SnapshotMeta}; the sync is done in a thread.
        """

    def abort():
        """Leave no trace."""


class ISnapshotStore(Interface):
    """Snapshots of the state machine, the newest first."""

    def create(index, term, configuration, configuration_index):
        """Begin one. @return: an L{ISnapshotSink}."""

    def list():
        """@return: a list of L{txconsul.records.snapshot.SnapshotMeta}, newest first, whole ones only."""

    def open(id):
        """
        Read one.

        @return: C{(meta, stream)}, where C{stream} is a binary file to read and close.
        @raise KeyError: there is none of this id.
        @raise Corrupt: its checksum, length or meta is wrong; the message names the file. The checksum is
            verified before this returns.
        """


class IRaftTransport(Interface):
    """
    How Raft messages (L{txconsul.raft.messages}) reach the other servers of the group.

    What comes in is given to L{Consensus.receive<txconsul.consensus.Consensus.receive>}, a snapshot's bytes to the
    L{ISnapshotReceiver} that C{Consensus.receive_snapshot} returns.
    """

    def send(to, address, message):
        """
        Carry a message. It may be lost, doubled or overtaken; nothing is said of that, but a transport which knows
        that the server cannot be reached may call C{Consensus.unreachable}.

        @param to: the server's id.
        @param address: where it listens; empty for an answer, which goes back the way the question came.
        """

    def send_snapshot(to, address, message, stream):
        """
        Carry an L{InstallSnapshot<txconsul.raft.messages.InstallSnapshot>} and the bytes that belong to it, under
        back-pressure.

        @param stream: a binary file of C{message.size} bytes to read; the transport closes it.
        @return: a Deferred firing when all bytes are out, or failing if that cannot be done. Cancelling it gives up.
        """


class ISnapshotReceiver(Interface):
    """Takes the bytes of one snapshot that comes in. L{finished} or L{lost} ends it."""

    def write(data):
        """The next bytes. Those of an unwanted snapshot are thrown away."""

    def finished():
        """All bytes came. The answer is sent when the snapshot is durable and the state machine restored."""

    def lost():
        """The connection broke before all bytes came."""


class IStateMachine(Interface):
    """What a replicated log is applied to. It must be deterministic: the same entries, the same state."""

    def apply(index, data, record):
        """
        Take one committed command.

        @param data: the entry's bytes: type byte and body.
        @param record: the decoded command where the caller has it (the leader, which proposed it), or None.
        @return: the result for whoever proposed it. A result that is an exception instance is a refusal.
        @raise Exception: anything raised stops the server rather than let it diverge.
        """

    def apply_piece(index, term, data, extensions):
        """
        Take one committed entry with extensions: a piece of a command that another program's server cut up.

        @param extensions: which piece of which command it is.
        @return, raise: as L{apply}; None while the command is not whole.
        """

    def applied(index):
        """A batch of entries ends here, the last of which was C{index}: wake whoever waits for what it touched."""

    def freeze():
        """
        A consistent picture of now, taken at once and written later.

        @return: an iterator of C{bytes} pieces, a few KiB to a few hundred each: the FSM stream of Consul's snapshots.
        """

    def restore(stream):
        """
        Replace the state by that of a snapshot.

        @param stream: a binary file with the FSM stream.
        @return: an iterator; each step does a bounded part of the work and yields the share done, from 0.0 to 1.0.
            The new state is swapped in as a whole with the last step. Not finishing it leaves the old state.
        @raise Corrupt: (from a step) the stream is damaged; the old state stands.
        """


class ICheck(Interface):
    """One kind of check: what is done, once, to find out how something is."""

    def run():
        """
        Look now. It is called again only after the answer came, and must give one by itself in the end.

        @return: a Deferred of a L{txconsul.records.health.CheckResult}; cancelling it breaks off. A failure counts as
            critical, with its message as output.
        """

    def stop():
        """Nothing will be asked any more: give connections back."""


class ICheckKind(Interface):
    """
    A kind of check that is none of Consul's: a Twisted plugin, found by C{twisted.plugin.getPlugins}. A definition asks
    for it with C{plugin}, beside an C{interval}.
    """

    name = Attribute("What C{plugin} says, and the checks' type.")
    runs_programs = Attribute(
        "Whether by its options somebody could run programs here: then it is refused wherever script checks are."
    )

    def check(options, timeout, network):
        """
        One check of this kind. It is called once when a definition comes, to see whether it is one, and again when the
        check is to run.

        @param options: the definition's C{plugin_options}, a dict of strings.
        @param timeout: seconds that one run should take at the most.
        @param network: an L{INetwork}, with its clock.
        @return: an L{ICheck}; nothing is done before it is run.
        @raise ValueError: the options are not usable; the text says why.
        """


class IMetricSink(Interface):
    """
    Where what is counted and measured goes. Instruments are asked for once, when something is put together; in a hot
    path they cost an addition. Names are Consul's, without the prefix: C{raft.apply}. One name with the same labels is
    one instrument.
    """

    def counter(name, **labels):
        """@return: a L{txconsul.metrics.instruments.Counter}, which is told of each event."""

    def sample(name, **labels):
        """@return: a L{txconsul.metrics.instruments.Sample}, which is given sizes; durations in milliseconds."""

    def counters(name, *labels):
        """
        Counters that differ in labels whose values come from outside.

        @return: a L{txconsul.metrics.instruments.CounterFamily}, which is given the labels' values with each event.
        """

    def counted(name, read, **labels):
        """A counter of what is counted already: C{read()} tells how many there were since the process began."""

    def together(name, parts, **labels):
        """A sample of what several samples, C{parts}, measured."""

    def gauges(read):
        """
        Values as they are when somebody looks.

        @param read: gives L{txconsul.metrics.metrics.Gauge}s. It is called every ten seconds and for everybody who
            looks, so that it should not walk through all there is.
        """


class ICaller(Interface):
    """Who takes requests: the door here, or the way to one elsewhere."""

    def call(method, request, context):
        """
        Ask.

        @param method: an endpoint's name, such as C{KVS.Get}.
        @param request: the record which that endpoint declares.
        @param context: a L{txconsul.records.query.Context}.
        @return: the answer, or a Deferred of it where it must wait. It raises, or fails with, classes of
            L{txconsul.errors} only.
        """
