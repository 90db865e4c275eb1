"""The host: who is loaded, who must go, what becomes of those who crash, and who is not asked again."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.unit.infer.standins import MIB, Echo, MakeEcho, Shelf, Threads, make_echo, setup, wanted
from tickwork.clock import Clock
from tickwork.errors import InternalError, ModelCrashed, ModelHostLost, ModelInvalid, ModelNotFound, ModelTooLarge
from tickwork.infer import wire
from tickwork.infer.asking import Wanted
from tickwork.infer.channel import ChannelClosed, connect, make_pair
from tickwork.infer.host import Host, half_of_memory, serve_at
from tickwork.infer.launch import Child
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.requester import Requester
from tickwork.records import Refusal

SIZES = {"a": 40 * MIB, "b": 40 * MIB, "c": 40 * MIB, "huge": 101 * MIB, "small": 5 * MIB}


class Service:
    """A host whose workers are threads, and somebody who asks."""

    def __init__(self, host: Host, asker: Requester, threads: Threads) -> None:
        self.host, self.asker, self.threads = host, asker, threads

    def ask(self, name: str, body: bytes = b"x", tick: int = 0, deadline_ms: int = 10_000) -> int:
        return self.asker.ask(wanted(name), body, tick=tick, deadline_ms=deadline_ms).code

    def loaded(self) -> list[str]:
        return sorted(one.name for one in self.host.look().workers)


@contextmanager
def serving(path: Path, make: MakeEcho = make_echo, **changes: object) -> Iterator[Service]:
    threads = Threads(make)
    host = Host(setup(**changes), Shelf(SIZES), launcher=threads)  # type: ignore[arg-type]
    listener = serve_at(host, path / "s", "key")
    asker = Requester(setup(**changes), address=path / "s")
    yield Service(host, asker, threads)
    asker.close()
    listener.close()
    host.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        yield made


def test_a_model_is_loaded_once_for_all_who_ask(service: Service) -> None:
    threads = [threading.Thread(target=service.ask, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert service.host.look().loads == 1
    assert service.loaded() == ["a"]


def test_the_least_recently_used_by_logical_time_makes_room(service: Service) -> None:
    service.ask("a", tick=5)
    service.ask("b", tick=3)
    service.ask("c", tick=6)
    assert service.loaded() == ["a", "c"]
    seen = service.host.look()
    assert (seen.evictions, seen.used, seen.budgets) == (1, {"cpu": 80 * MIB}, {"cpu": 100 * MIB})


def test_who_was_evicted_is_loaded_again_and_told_so(service: Service) -> None:
    for tick, name in enumerate("abc"):
        service.ask(name, tick=tick)
    reply = service.asker.ask(wanted("a"), b"x")
    assert (reply.code, [one.text for one in reply.incidents]) == (0, ["another model needed the memory"])


def test_pinned_models_stay_until_they_are_unpinned(service: Service) -> None:
    service.ask("a")
    assert service.asker.question(wire.Pin(wanted("a").model, True)) == wire.Done(1)
    assert service.asker.question(wire.Pin(wanted("b").model, True)) == wire.Done(0), "it will be when it is loaded"
    service.ask("b")
    reply = service.asker.ask(wanted("c"), b"x")
    assert isinstance(reply.error, ModelTooLarge)
    assert reply.body == b"pinned models leave no room"
    service.asker.question(wire.Pin(wanted("a").model, False))
    assert service.ask("c") == 0
    assert service.loaded() == ["b", "c"]


def test_a_model_larger_than_the_budget_is_refused_and_moves_nobody(service: Service) -> None:
    service.ask("a")
    reply = service.asker.ask(wanted("huge"), b"x")
    assert (reply.code, type(reply.error)) == (-3, ModelTooLarge)
    assert service.loaded() == ["a"]


def test_a_model_that_is_not_there_is_refused(service: Service) -> None:
    with pytest.raises(ModelNotFound):
        service.asker.load(wanted("nobody"))
    assert service.ask("nobody") == -5
    assert service.loaded() == []


def test_unloading_ends_the_worker_and_frees_its_memory(service: Service) -> None:
    service.ask("a")
    assert service.asker.question(wire.Unload(wanted("a").model)) == wire.Done(1)
    assert service.host.look().used == {"cpu": 0}
    assert service.asker.question(wire.Unload(wanted("a").model)) == wire.Done(0)
    assert service.ask("a") == 0


def test_a_model_at_work_is_not_evicted_and_room_is_waited_for(tmp_path: Path) -> None:
    gate, entered = threading.Event(), threading.Event()

    def hold(body: bytes) -> None:
        if body == b"wait":
            entered.set()
            assert gate.wait(10)

    with serving(tmp_path, gated(hold)) as service:
        service.ask("b", tick=9)
        held = threading.Thread(target=service.ask, args=("a", b"wait"))
        held.start()
        assert entered.wait(10)
        assert service.ask("c") == 0
        assert service.loaded() == ["a", "c"], "b was used later than a, and a is at work"
        gate.set()
        held.join()


def gated(gate: Callable[[bytes], None]) -> MakeEcho:
    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        del config, folder, clock, extras
        return Echo(asked.model, gate)

    return make


def crashing(threads: list[Threads]) -> Callable[[bytes], None]:
    """Return what hangs up the worker's process in the middle of a bad request, as a crash does."""

    def gate(body: bytes) -> None:
        if body.startswith(b"bad"):
            threads[0].started[-1].crash()
            raise ChannelClosed

    return gate


def test_a_request_that_ends_two_workers_is_refused_from_then_on_and_others_are_not(tmp_path: Path) -> None:
    threads = list[Threads]()
    with serving(tmp_path, gated(crashing(threads))) as service:
        threads.append(service.threads)
        assert service.ask("a") == 0
        reply = service.asker.ask(wanted("a"), b"bad")
        assert isinstance(reply.error, ModelCrashed)
        assert [one.text for one in reply.incidents] == ["the worker ended by signal SIGFPE"] * 2
        assert service.host.look().crashes == 2
        assert service.ask("a") == 0
        again = service.asker.ask(wanted("a"), b"bad")
        assert (again.code, again.body, again.incidents) == (-1, reply.body, ())
        assert service.host.look().crashes == 2
        other = Requester(setup(), address=tmp_path / "s")
        assert isinstance(other.ask(wanted("a"), b"bad").error, ModelCrashed)
        other.close()
        assert service.host.look().crashes == 2, "whoever asks, it is known"


def test_a_request_that_was_answered_after_all_is_not_held_against_it_later(tmp_path: Path) -> None:
    threads, left = list[Threads](), list[int]()

    def gate(body: bytes) -> None:
        if body == b"killed" and left:
            left.pop()
            threads[0].started[-1].crash()
            raise ChannelClosed

    with serving(tmp_path, gated(gate)) as service:
        threads.append(service.threads)
        for _ in range(3):
            left.append(1)
            assert service.ask("a", b"killed") == 0
        assert service.host.look().crashes == 3


def test_a_crash_in_between_is_no_fault_of_who_asks_next(service: Service) -> None:
    service.ask("a")
    service.threads.started[-1].crash()
    reply = service.asker.ask(wanted("a"), b"x")
    assert reply.code == 0
    assert [one.text for one in reply.incidents] == ["the worker ended by signal SIGFPE"]


def test_a_worker_that_ends_while_it_loads_is_started_once_more(tmp_path: Path) -> None:
    threads, left = list[Threads](), [1]

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        if left:
            left.pop()
            threads[0].started[-1].crash()
            raise ChannelClosed
        return make_echo(asked, config, folder, clock, extras)

    with serving(tmp_path, make) as service:
        threads.append(service.threads)
        reply = service.asker.ask(wanted("a"), b"x")
        assert reply.code == 0
        assert [one.text for one in reply.incidents] == ["it ended by signal SIGFPE"]
        assert service.host.look().used == {"cpu": 40 * MIB}


def test_one_that_always_ends_while_it_loads_is_refused_and_frees_its_memory(tmp_path: Path) -> None:
    threads = list[Threads]()

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        threads[0].started[-1].crash()
        raise ChannelClosed

    with serving(tmp_path, make) as service:
        threads.append(service.threads)
        assert isinstance(service.asker.ask(wanted("a"), b"x").error, ModelCrashed)
        assert service.host.look().used == {"cpu": 0}


@pytest.mark.parametrize(
    ("head", "body"), [(wire.LOADED, b"\xc1"), (wire.LOADED, b"\x93\xc4\1x\1\x90"), (wire.FAILED, b"\xc1")]
)
def test_one_that_says_nonsense_when_it_has_loaded_is_ended_and_frees_its_memory(
    tmp_path: Path, head: bytes, body: bytes
) -> None:
    threads = list[Threads]()

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        threads[0].started[-1].say(head, body)
        raise ChannelClosed

    with serving(tmp_path, make) as service:
        threads.append(service.threads)
        assert service.ask("a") == Refusal.FAILED
        assert service.host.look().used == {"cpu": 0}
        assert not service.loaded()


def test_what_cannot_be_used_once_it_is_loaded_is_ended_and_loaded_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(Host, "_settle", no_more)
        assert service.ask("a") == Refusal.FAILED
        assert not service.loaded()
    assert service.ask("a") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists what is open")
def test_workers_that_have_ended_keep_nothing_open(service: Service) -> None:
    def opened() -> int:
        # Whatever is opened or closed while this looks is no memory of a worker.
        found = list[str]()
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found.append(str(path.readlink()))
        return sum("memfd:tickwork" in target for target in found)

    before = opened()
    for _ in range(20):
        assert service.ask("small") == 0
        assert service.host.unload(wanted("small").model) == 1
    assert opened() < before + 10


def test_a_model_short_of_memory_is_loaded_when_all_that_is_idle_has_gone(tmp_path: Path) -> None:
    left = [1]

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        if config.name == "b" and left:
            left.pop()
            raise ModelTooLarge("there is not so much memory")
        return make_echo(asked, config, folder, clock, extras)

    with serving(tmp_path, make) as service:
        service.ask("a")
        assert service.ask("b") == 0
        assert service.loaded() == ["b"]


def test_loading_has_a_deadline(tmp_path: Path) -> None:
    gate = threading.Event()

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        gate.wait(10)
        return make_echo(asked, config, folder, clock, extras)

    with serving(tmp_path, make, load_ms=50) as service:
        threading.Timer(0.2, gate.set).start()
        with pytest.raises(ModelInvalid, match="takes more time than is allowed"):
            service.asker.load(wanted("a"))


def test_a_run_past_its_deadline_ends_its_worker_and_others_are_asked_again(tmp_path: Path) -> None:
    gate, entered = threading.Event(), threading.Event()

    def hold(body: bytes) -> None:
        if body == b"wait":
            entered.set()
            gate.wait(10)

    with serving(tmp_path, gated(hold)) as service:
        codes = list[int]()
        service.ask("a")
        held = threading.Thread(target=lambda: codes.append(service.ask("a", b"wait", deadline_ms=100)))
        held.start()
        assert entered.wait(10)
        beside = threading.Thread(target=lambda: codes.append(service.ask("a")))
        beside.start()
        while not service.host.look().expired:
            threading.Event().wait(0.001)
        gate.set()
        held.join()
        beside.join()
        assert sorted(codes) == [-11, 0]


def test_a_worker_that_is_idle_and_hears_nothing_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, left = list[Threads](), [1]

    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        made = make_echo(asked, config, folder, clock, extras)
        if left:
            left.pop()
            threads[0].started[-1].say(wire.LOADED, wire.encode(wire.Loaded(made.fingerprint.encode(), MIB, ())))
            threads[0].started[-1].hear_nothing()
        return made

    monkeypatch.setattr("tickwork.infer.host.LISTEN_S", 0.05)
    with serving(tmp_path, make) as service:
        threads.append(service.threads)
        assert service.ask("a", deadline_ms=100) == Refusal.TIMEOUT
        assert service.ask("a") == 0
        assert service.host.look().expired == 1


def test_a_worker_that_hears_is_not_ended_for_a_request_that_it_never_got(service: Service) -> None:
    assert service.ask("a") == 0
    (worker,) = service.host.look().workers
    number = next(iter(service.host._known))
    assert service.asker.question(wire.Expire(number, 99)) == wire.Done()
    assert [one.asked for one in service.host.look().workers] == [worker.asked]


def test_what_takes_more_than_it_was_measured_to_makes_others_go_or_goes_itself(tmp_path: Path) -> None:
    def make(asked: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Echo:
        made = make_echo(asked, config, folder, clock, extras)
        made.bytes = {"b": 70 * MIB, "small": 101 * MIB}.get(config.name, MIB)
        return made

    with serving(tmp_path, make) as service:
        service.ask("a")
        assert service.ask("b") == 0
        assert service.loaded() == ["b"]
        assert service.host.look().used == {"cpu": 70 * MIB}
        assert isinstance(service.asker.ask(wanted("small"), b"x").error, ModelTooLarge)
        assert "small" not in service.loaded()


@pytest.mark.slow
def test_a_model_nobody_asks_is_unloaded(tmp_path: Path) -> None:
    with serving(tmp_path, keep_alive_s=1) as service:
        service.host.begin()
        service.ask("a")
        service.ask("b")
        service.asker.question(wire.Pin(wanted("b").model, True))
        while service.loaded() != ["b"]:
            threading.Event().wait(0.01)


def test_a_host_says_how_it_is(service: Service) -> None:
    service.ask("a", tick=7)
    service.ask("a", tick=8)
    seen = service.asker.question(wire.Look())
    assert isinstance(seen, wire.Seen)
    [worker] = seen.workers
    assert (worker.name, worker.version, worker.provider, worker.state, worker.last_tick) == (
        "a",
        "1",
        "cpu",
        "ready",
        8,
    )
    assert (worker.cost, worker.memory, worker.pinned) == (40 * MIB, MIB, False)


def test_a_host_takes_further_channels_and_refuses_what_it_does_not_know(service: Service) -> None:
    mine, theirs = make_pair()
    service.host.serve_beside(theirs)
    inner, other = make_pair()
    mine.send(wire.encode(wire.Connect()), handing=[other.fileno()])
    other.close()
    answer = mine.receive(10)
    assert answer is not None
    assert wire.decode_answer(answer.head) == wire.Done()
    inner.send(b"\x92\xccn\1")
    refused = inner.receive(10)
    assert refused is not None
    failed = wire.decode_answer(refused.head)
    assert isinstance(failed, wire.Failed)
    assert isinstance(wire.raised(failed), InternalError)
    inner.close()
    mine.close()


def test_a_host_that_is_handed_no_channel_says_so_and_goes_on(service: Service, tmp_path: Path) -> None:
    with closing(connect(tmp_path / "s")) as channel, (tmp_path / "file").open("wb") as file:
        for handing in ([], [file.fileno()]):
            channel.send(wire.encode(wire.Connect()), handing=handing)
            frame = channel.receive(10)
            assert frame is not None
            assert isinstance(wire.decode_answer(frame.head), wire.Failed)
    assert service.ask("a") == 0


def test_a_model_that_is_not_there_is_no_crash(service: Service) -> None:
    assert service.ask("nothing") == Refusal.NOT_FOUND
    assert service.host.look().crashes == 0


def test_workers_that_are_forgotten_are_no_ones_fault(service: Service) -> None:
    fate = service.asker.question(wire.Ask(12345, 1, b"digest"))
    assert fate == wire.Fate(False, False, "forgotten", False)
    assert service.asker.question(wire.Expire(12345, 1)) == wire.Done()


def test_a_host_told_to_stop_says_so_to_who_runs_it(service: Service) -> None:
    assert service.asker.question(wire.Stop()) == wire.Done()
    assert service.host.closing.is_set()


def test_a_socket_that_cannot_be_made_is_an_error(service: Service, tmp_path: Path) -> None:
    with pytest.raises(ModelHostLost):
        serve_at(service.host, tmp_path / "no folder" / "s", "key")


def test_a_socket_has_one_host(service: Service, tmp_path: Path) -> None:
    with pytest.raises(ModelHostLost, match="listens there already"):
        serve_at(service.host, tmp_path / "s", "key")
    assert service.ask("a") == 0


def test_half_of_the_memory_is_the_usual_budget() -> None:
    assert half_of_memory() > 64 * MIB


def test_processes_are_started_by_what_the_host_is_given(service: Service) -> None:
    started: Child = service.threads.start("worker")
    assert started.wait(0.001) is None
