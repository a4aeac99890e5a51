"""Hand-written logical stacks for the views."""

from heaphound.address import Address
from heaphound.results.answer import Answer, Coverage
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, TasksResult
from tests.unit.answers import DUMP

TASKS = Answer(
    DUMP,
    Coverage(),
    TasksResult(
        (
            AsyncStackRow(
                20_000,
                (
                    AsyncFrameRow("Shop.Gateway.Call", 0, Address(0x7F43D680A798), "Shop.Gateway+<Call>d__1", "Gateway.cs", 28),
                    AsyncFrameRow("Shop.Orders.Place", 2, Address(0x7F43D680A7F8), "Shop.Orders+<Place>d__7"),
                ),
                "System.Threading.Tasks.Task<System.String>",
                Address(0x7F43D680A048),
                9_600_000,
            ),
            AsyncStackRow(1, (AsyncFrameRow("Shop.Poller.Run", -1, Address(0x7F43D6900000), "Shop.Poller+<Run>d__0"),), None),
        ),
        40_001,
        3,
        1,
        5,
    ),
)
