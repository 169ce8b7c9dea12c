"""
Elections: when to stand, whom to vote for (Raft 5.2, 5.4.1), pre-votes (Raft dissertation 9.6), and standing at once
because the leader asks for it (dissertation 3.10).

The rules are those that servers of hashicorp/raft expect of each other.
"""

from __future__ import annotations

from txconsul.raft.campaign import Campaign
from txconsul.raft.messages import (
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    Role,
    Send,
    TimeoutNow,
    VoteReply,
)
from txconsul.raft.server import ServerState

__all__ = ["Elections"]


class Elections(ServerState):
    """The part of a server that stands for election and votes."""

    # ---- standing ----

    def _may_stand(self) -> bool:
        """A voter that is not in the middle of replacing its state (Raft dissertation 4.2.2)."""
        return self.members.may_stand(self.id) and self._installing is None

    def _election_timeout(self, now: float) -> None:
        """Nobody was heard for too long (Raft 5.2)."""
        self._set_leader("", "")
        if not self._may_stand():
            self._end_role(Role.FOLLOWER)
            self._election_at = self._election_deadline(self._timing.heartbeat)
        elif self._may_elect_itself():
            self._stand(now, transfer=False)
        else:
            self._ask_mood(now)

    def _begin_campaign(self, term: int, pre: bool, now: float) -> Campaign:
        """Another attempt, with this server's own voice in it, and a time at which it has failed."""
        self._change_role(Role.CANDIDATE)
        number = self._rounds.begin(now, self._timing.lease)
        self._campaign = Campaign(term, pre=pre, voters=self.members.voters, round=number)
        self._campaign.count(self.id)
        self._election_at = self._election_deadline(self._timing.election)
        return self._campaign

    def _ask_voters(self, message: RequestVote | RequestPreVote) -> None:
        for id in self.members.others(self.id):
            if self.members.is_voter(id):
                self._wish(Send(id, message, self.members.address(id)))

    def _ask_mood(self, now: float) -> None:
        """Ask whether an election could be won, before disturbing anybody by a new term (Raft dissertation 9.6)."""
        campaign = self._begin_campaign(self.term + 1, True, now)
        self._ask_voters(RequestPreVote(campaign.term, self.log.last, self.log.last_term, campaign.round))

    def _stand(self, now: float, *, transfer: bool) -> None:
        """Enter a new term, vote for itself, and ask the others (Raft 5.2)."""
        self.term += 1
        self.vote = self.id
        self._persist_state()
        campaign = self._begin_campaign(self.term, False, now)
        address = self.members.address(self.id)
        self._ask_voters(
            RequestVote(self.term, address, self.log.last, self.log.last_term, transfer, campaign.round),
        )
        if campaign.won:
            self._become_leader(now)

    def _on_vote(self, message: VoteReply | PreVoteReply, sender: str, now: float) -> None:
        """Count it, and go on when a majority is reached: from the mood to the vote, from the vote to the office."""
        campaign = self._campaign
        if campaign is None or sender not in self.members:
            return
        if message.term > max(self.term, campaign.term):
            self._become_follower(message.term, now)
        elif self._counts(campaign, message):
            campaign.count(sender)
            if campaign.won:
                if campaign.pre:
                    self._stand(now, transfer=False)
                else:
                    self._become_leader(now)

    def _counts(self, campaign: Campaign, message: VoteReply | PreVoteReply) -> bool:
        """A vote of another kind, an earlier attempt or another term is not one of these."""
        if isinstance(message, PreVoteReply) is not campaign.pre or message.round != campaign.round:
            return False
        return message.granted and message.term == campaign.term

    def _on_timeout_now(self, message: TimeoutNow, sender: str, now: float) -> None:
        """The leader hands over: no waiting, no pre-vote (Raft dissertation 3.10)."""
        if message.term not in (0, self.term):
            return
        if self.role is Role.FOLLOWER and sender == self.leader and self._may_stand():
            self._set_leader("", "")
            self._stand(now, transfer=True)

    # ---- voting ----

    def _on_vote_request(self, message: RequestVote, sender: str, now: float) -> None:
        """A newer term is taken over from whoever is heard, before anything is compared (Raft 5.1, 5.4.1)."""
        if self._listens_to(sender, message, now):
            if message.term > self.term:
                self._become_follower(message.term, now)
            granted = message.term == self.term and self._grants_vote(message, sender)
            if granted:
                self._cast_vote(sender, now)
        else:
            granted = False
        self._wish(Send(sender, VoteReply(self.term, granted, message.round)))

    def _on_pre_vote_request(self, message: RequestPreVote, sender: str, now: float) -> None:
        """As for a vote, but nothing is taken over and nothing given away (Raft dissertation 9.6)."""
        heard = self._listens_to(sender, message, now) and message.term >= self.term
        granted = (
            heard
            and self._may_be_voted_for(sender, message)
            and self._candidate_is_ahead(message.last_log_index, message.last_log_term)
        )
        term = message.term if heard else self.term
        self._wish(Send(sender, PreVoteReply(term, granted, message.round)))

    def _listens_to(self, sender: str, message: RequestVote | RequestPreVote, now: float) -> bool:
        """
        Whether somebody who wants votes is heard at all: nobody is while a leader is heard (Raft dissertation 4.2.3),
        but whom that leader told to stand; and no stranger is.
        """
        if sender not in self.members and not self._may_be_voted_for(sender, message):
            return False
        if isinstance(message, RequestVote) and message.leadership_transfer and sender in self.members:
            return True
        return (sender == self.leader or not self._hears_leader(now)) and now >= self._abstain_until

    def _may_be_voted_for(self, sender: str, message: RequestVote | RequestPreVote) -> bool:
        """
        A voter; or one that was until a change which is not committed, and may be needed to bring that through; or
        anybody, for a server that knows of no group yet (hashicorp/raft). And one whose log goes further than this
        one: there may stand what made it a voter, and no leader can tell if this vote is needed to have one (Raft
        dissertation 4.1: no server consults its own configuration on whom to vote for).
        """
        if self.members.is_empty() or self.members.may_stand(sender):
            return True
        return (message.last_log_term, message.last_log_index) > (self.log.last_term, self.log.last)

    def _candidate_is_ahead(self, index: int, term: int) -> bool:
        """Whether a log that ends there has everything this one has committed (Raft 5.4.1)."""
        return (term, index) >= (self.log.last_term, self.log.last)

    def _grants_vote(self, message: RequestVote, sender: str) -> bool:
        """One vote a term, first come, and only for a log that lacks nothing (Raft 5.2, 5.4.1)."""
        if not self._may_be_voted_for(sender, message):
            return False
        if self.vote:
            return self.vote == sender
        return self._candidate_is_ahead(message.last_log_index, message.last_log_term)

    def _cast_vote(self, candidate: str, now: float) -> None:
        """Stored before it is said, or a restart could make it two (Raft 5.2, figure 2)."""
        if self.vote != candidate:
            self.vote = candidate
            self._persist_state()
        self._election_at = self._election_deadline(self._timing.heartbeat)
