from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flue_actors.actors.envelope import Envelope
from flue_actors.actors.mailbox import Mailbox

LANES = st.sampled_from([None, "x", "y", "z"])


def may_start(queue, index, busy):
    """The rule, said plainly: nothing that runs and nothing sent earlier is in its way."""
    lane = queue[index].lane
    in_the_way = [*busy, *(envelope.lane for envelope in queue[:index])]
    return all(lane is not None and other is not None and lane != other for other in in_the_way)


class MailboxMachine(RuleBasedStateMachine):
    """A mailbox against a plain list."""

    CAPACITY = 8

    def __init__(self):
        super().__init__()
        self.mailbox = Mailbox(self.CAPACITY)
        self.model = []

    @rule(lane=LANES)
    def offer(self, lane):
        envelope = Envelope("message")
        envelope.lane = lane
        assert self.mailbox.offer(envelope) == (len(self.model) < self.CAPACITY)
        if len(self.model) < self.CAPACITY:
            self.model.append(envelope)

    @rule(busy=st.sets(LANES, max_size=3))
    def take(self, busy):
        startable = [e for i, e in enumerate(self.model) if may_start(self.model, i, busy)]
        taken = self.mailbox.take(busy)
        assert taken is (startable[0] if startable else None)
        if taken is not None:
            self.model.remove(taken)

    @rule(lane=LANES)
    def remove(self, lane):
        removed = self.mailbox.remove(lambda envelope: envelope.lane == lane)
        assert removed == [envelope for envelope in self.model if envelope.lane == lane]
        self.model = [envelope for envelope in self.model if envelope.lane != lane]

    @rule(data=st.data())
    def change_a_lane(self, data):
        if self.model:
            data.draw(st.sampled_from(self.model)).lane = data.draw(LANES)

    @invariant()
    def holds_the_same_in_the_same_order(self):
        assert list(self.mailbox) == self.model
        assert len(self.mailbox) == len(self.model)


TestMailbox = MailboxMachine.TestCase
