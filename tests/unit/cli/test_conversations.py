from typing import Any

from tickwork.cli.conversations import conversation


def transcript(*exchanges: object) -> dict[str, Any]:
    return {"exchanges": exchanges}


def exchange(messages: list[object], text: str | None, **request: object) -> dict[str, object]:
    said = None if text is None else {"text": text, "finish": "stop"}
    failure = "" if said else "the provider answered 529"
    return {
        "provider": "p",
        "model": "m",
        "request": {"messages": messages, **request},
        "said": said,
        "failure": failure,
    }


def test_words_that_stand_in_the_next_request_again_are_told_once() -> None:
    first: list[object] = [{"role": "user", "content": "plan"}]
    then: list[object] = [*first, {"role": "assistant", "content": "bad"}, {"role": "user", "content": "mend"}]
    told = list(
        conversation(transcript(exchange(first, "bad", system="be brief"), exchange(then, "good", system="be brief")))
    )
    assert told == [
        ("system", "be brief"),
        ("user", "plan"),
        ("p, m (stop)", "bad"),
        ("user", "mend"),
        ("p, m (stop)", "good"),
    ]


def test_a_request_without_an_answer_says_why() -> None:
    turns: list[object] = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    told = list(conversation(transcript(exchange(turns, None), exchange(turns, "x"))))
    assert told == [("user", "a\nb"), ("p, m", "[no answer: the provider answered 529]"), ("p, m (stop)", "x")]


def test_what_a_model_asks_for_is_told_too() -> None:
    asked = exchange([], "")
    asked["said"] = {"text": "", "finish": "calls", "calls": [{"id": "1", "name": "look", "arguments": '{"q":1}'}]}
    assert list(conversation(transcript(asked))) == [("p, m (calls)", '\nlook({"q":1})')]
    assert list(conversation({})) == []
