"""``/agents/{name}/{id}/approvals``: tool calls that wait for somebody's decision, listed and decided."""

from flue_actors.gateway.resources.call import Call
from flue_actors.gateway.wire import VERDICTS, ApprovalsBody, DecidedBody, decode_decision


async def all(call: Call) -> None:
    """Those of the instance, oldest first."""
    call.answer(ApprovalsBody(approvals=await call.agent.approvals()))


async def decide(call: Call) -> None:
    """Answers when the decision is durable. Who decided is the guard's principal."""
    agent, id = call.agent, call.parameter
    decided = decode_decision(await call.body())
    verdict = VERDICTS[decided.decision]
    await agent.decide(id, verdict, principal=call.guarded.principal, reason=decided.reason)
    call.answer(DecidedBody(approval_id=id, decision=verdict))
