"""Hand-written logical stacks for the views."""

from heaphound.address import Address
from heaphound.results.answer import Answer, Coverage
from heaphound.results.object import Reference
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, AsyncThreadRow, AsyncVariableRow, FaultRow, TaskCounts, TasksResult
from tests.unit.answers import DUMP

TASKS = Answer(
    DUMP,
    Coverage(),
    TasksResult(
        (
            AsyncStackRow(
                20_000,
                (
                    AsyncFrameRow(
                        "Shop.Gateway.Call", 0, Address(0x7F43D680A798), "Shop.Gateway+<Call>d__1", "Gateway.cs", 28, await_line=31
                    ),
                    AsyncFrameRow(
                        "Task.WhenAll",
                        None,
                        Address(0x7F43D680A7B8),
                        "System.Threading.Tasks.Task+WhenAllPromise",
                        kind="all",
                        note="4 tasks left",
                    ),
                    AsyncFrameRow("Shop.Orders.Place", 2, Address(0x7F43D680A7F8), "Shop.Orders+<Place>d__7"),
                ),
                "System.Threading.Tasks.Task<System.String>",
                Address(0x7F43D680A048),
                9_600_000,
                "a TaskCompletionSource that nobody has completed, held by Shop.Gateway.reply",
                blocked=(
                    AsyncThreadRow(4711, 7, "orders", "Shop.Orders.Drain()", "task", Address(0x7F43D680A7F8)),
                    AsyncThreadRow(4713, 9, None, "Shop.Orders.Peek()", "task", Address(0x7F43D680A048)),
                    AsyncThreadRow(4714, 10, None, "Shop.Orders.Read()", "task", Address(0x7F43D680A7B8)),
                ),
                outermost_count=4000,
                awaiting_count=1,
            ),
            AsyncStackRow(
                1,
                (AsyncFrameRow("Shop.Poller.Run", -1, Address(0x7F43D6900000), "Shop.Poller+<Run>d__0"),),
                None,
                waits_for="nothing: it runs",
                running=(AsyncThreadRow(4712, 8, None, "Shop.Poller.Poll()", "sleep"),),
            ),
            AsyncStackRow(
                1,
                (
                    AsyncFrameRow("Shop.Feed.Read", -4, Address(0x7F43D6900100), "Shop.Feed+<Read>d__2"),
                    AsyncFrameRow("Shop.Feed.Log(Task)", None, Address(0x7F43D6900200), "ContinuationTask", kind="continuation"),
                ),
                None,
            ),
            AsyncStackRow(
                12,
                (
                    *(
                        AsyncFrameRow(
                            "Shop.Tree.Walk", state, Address(0x7F43D6900300 + at), "Shop.Tree+<Walk>d__2", "Tree.cs", 8, "method", 9
                        )
                        for at, state in enumerate([0, *[1] * 10])
                    ),
                    AsyncFrameRow("Shop.Tree.Run", 0, Address(0x7F43D6900400), "Shop.Tree+<Run>d__1"),
                ),
                "System.Threading.Tasks.Task+DelayPromise",
                Address(0x7F43D6900500),
                None,
                "Task.Delay of 2 h",
                outermost_count=12,
                awaiting_count=12,
                frames_left_out=1990,
            ),
            AsyncStackRow(
                1,
                (
                    AsyncFrameRow(
                        "Shop.Repository.Get",
                        0,
                        Address(0x7F43D6900A00),
                        "Shop.Repository+<Get>d__3",
                        variables=(
                            AsyncVariableRow("argument", "key", "System.Int32", 17),
                            AsyncVariableRow(
                                "local", "page", "System.String", Reference(Address(0x7F43D6900B00), "System.String", None, 12)
                            ),
                            AsyncVariableRow("temporary", "<>7__wrap1", "System.Object", None),
                        ),
                    ),
                ),
                None,
                waits_for="whoever calls its continuation, held by static Shop.Repository.s_later",
            ),
            AsyncStackRow(
                1,
                (),
                "System.Threading.Tasks.Task",
                Address(0x7F43D6900600),
                0,
                "a TaskCompletionSource that nobody has completed",
                blocked=(AsyncThreadRow(4715, 11, "timed", "Shop.Orders.Wait()", "task", Address(0x7F43D6900600)),),
            ),
        ),
        40_001,
        3,
        1,
        5,
        TaskCounts(1, 2, 0, 1, 60_003, 1200, 31, 1),
        (
            FaultRow("System.IO.IOException", 30, 30, Address(0x7F43D6900700), Address(0x7F43D6900800)),
            FaultRow("an exception that is not in the dump", 1, None, Address(0x7F43D6900900), None),
        ),
    ),
)
