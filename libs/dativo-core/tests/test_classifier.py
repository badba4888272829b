"""One table decides about every fault, and a user may change any row of it."""

from __future__ import annotations

import errno
import functools
import json
import socket
import ssl
import time
from email.utils import formatdate
from pathlib import Path

import botocore.exceptions
import psycopg2
import pytest
import requests
import yaml
from dativo_core.classifier import (
    SHIPPED,
    Classifier,
    describe,
    load_policy,
    load_rules,
    retry_after,
)
from dativo_core.errors import (
    ConfigurationError,
    CredentialsError,
    GoneError,
    NotPermittedError,
    RefusedError,
    SkippedError,
    TryLaterError,
)
from dativo_core.failures import error_of
from dativo_core.fault_sources import endpoint_of, fault_of_exception, fault_of_reply
from dativo_core.faults import Action, Category, Decision, Fault
from dativo_core.retry import RetryPolicy
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000.0
PLUGINS = ("tap-stripe", "tap-hubspot", "tap-google-drive", "tap-google-sheets")


shipped = functools.cache(lambda plugin: Classifier(load_rules(None, plugin)))


def decide(fault, plugin="tap-any", overrides=None):
    """Return what the shipped table, or a changed one, makes of a fault."""
    if overrides:
        return Classifier(load_rules(overrides, plugin)).classify(fault, NOW)
    return shipped(plugin).classify(fault, NOW)


def verdict(fault, plugin="tap-any") -> str:
    """Return category and action as one word each."""
    decision = decide(fault, plugin)
    return f"{decision.category.value} {decision.action.value}"


def reply(status, content=None, **headers):
    """Return the fault that an answer tells."""
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return fault_of_reply(status, names, b"" if content is None else body)


def stripe(code, **more):
    """Return Stripe's shape of an error."""
    return {"error": {"code": code, "type": "some_error", "message": "M", **more}}


def google(reason, **more):
    """Return Google's older shape of an error."""
    return {"error": {"errors": [{"reason": reason}], "code": 403, **more}}


def google_new(status, reason=None):
    """Return Google's newer shape of an error."""
    details = [{"@type": "x"}, {"reason": reason}] if reason else []
    return {"error": {"code": 403, "status": status, "details": details}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(status, "transient retry") for status in (408, 409, 412, 421, 423, 425)],
        *[(status, "transient retry") for status in (424, 499, 500, 502, 503, 504)],
        *[(status, "transient retry") for status in (507, 520, 522, 524, 529, 599)],
        (429, "rate_limit wait"),
        (401, "auth refresh"),
        (403, "auth skip"),
        (407, "auth fail"),
        (402, "config fail"),
        (301, "config fail"),
        (308, "config fail"),
        (404, "data skip"),
        (410, "data skip"),
        (451, "data skip"),
        (400, "permanent fail"),
        (405, "permanent fail"),
        (414, "permanent fail"),
        (422, "permanent fail"),
        (501, "permanent fail"),
        (505, "permanent fail"),
        (999, "permanent fail"),
    ],
)
def test_http_statuses(status, expected) -> None:
    """A status alone has its row."""
    assert verdict(reply(status)) == expected


@pytest.mark.parametrize(
    ("plugin", "fault", "expected"),
    [
        ("tap-stripe", reply(429, stripe("lock_timeout")), "transient retry"),
        ("tap-stripe", reply(429, stripe("rate_limit")), "rate_limit wait"),
        ("tap-stripe", reply(400, stripe("rate_limit")), "rate_limit wait"),
        ("tap-stripe", reply(429), "rate_limit wait"),
        ("tap-stripe", reply(409, stripe_should_retry="true"), "transient retry"),
        ("tap-stripe", reply(409, stripe_should_retry="false"), "transient stop"),
        ("tap-stripe", reply(500, stripe_should_retry="FALSE"), "transient stop"),
        ("tap-stripe", reply(401, stripe_should_retry="false"), "auth refresh"),
        ("tap-stripe", reply(400, stripe("parameter_unknown")), "permanent fail"),
        (
            "tap-stripe",
            reply(400, stripe("resource_missing", param="starting_after")),
            "data skip",
        ),
        (
            "tap-stripe",
            reply(400, stripe("resource_missing", param="customer")),
            "permanent fail",
        ),
        ("tap-stripe", reply(404, stripe("resource_missing")), "data skip"),
        ("tap-stripe", reply(403, stripe("more_permissions_required")), "auth skip"),
        (
            "tap-stripe",
            reply(403, stripe("more_permissions_required_for_application")),
            "auth skip",
        ),
        ("tap-stripe", reply(401, stripe("api_key_expired")), "auth fail"),
        ("tap-hubspot", reply(429, {"policyName": "DAILY"}), "rate_limit stop"),
        (
            "tap-hubspot",
            reply(429, {"policyName": "TEN_SECONDLY_ROLLING"}),
            "rate_limit wait",
        ),
        ("tap-hubspot", reply(429, {"errorType": "RATE_LIMIT"}), "rate_limit wait"),
        ("tap-hubspot", reply(403, {"category": "MISSING_SCOPES"}), "auth skip"),
        (
            "tap-hubspot",
            reply(401, {"category": "EXPIRED_AUTHENTICATION"}),
            "auth refresh",
        ),
        ("tap-hubspot", reply(423), "transient retry"),
        ("tap-hubspot", reply(477), "rate_limit wait"),
        ("tap-hubspot", reply(414), "permanent fail"),
        (
            "tap-google-drive",
            reply(403, google("userRateLimitExceeded")),
            "rate_limit wait",
        ),
        (
            "tap-google-sheets",
            reply(403, google("rateLimitExceeded")),
            "rate_limit wait",
        ),
        (
            "tap-google-drive",
            reply(403, google("dailyLimitExceeded")),
            "rate_limit stop",
        ),
        (
            "tap-google-drive",
            reply(403, google("downloadQuotaExceeded")),
            "rate_limit skip",
        ),
        (
            "tap-google-sheets",
            reply(429, google_new("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")),
            "rate_limit wait",
        ),
        (
            "tap-google-sheets",
            reply(200, google_new("RESOURCE_EXHAUSTED")),
            "rate_limit wait",
        ),
        (
            "tap-google-sheets",
            reply(403, google_new("PERMISSION_DENIED", "SERVICE_DISABLED")),
            "config fail",
        ),
        (
            "tap-google-sheets",
            reply(403, google_new("PERMISSION_DENIED", "BILLING_DISABLED")),
            "config fail",
        ),
        (
            "tap-google-drive",
            reply(
                403,
                google_new("PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
            ),
            "auth fail",
        ),
        ("tap-google-drive", reply(403, google("domainPolicy")), "config fail"),
        (
            "tap-google-drive",
            reply(403, google("exportSizeLimitExceeded")),
            "data skip",
        ),
        ("tap-google-drive", reply(403, google("cannotDownloadFile")), "data skip"),
        ("tap-google-drive", reply(416), "data skip"),
        ("tap-google-drive", reply(403, google("forbidden")), "auth skip"),
        ("tap-google-drive", reply(500, google("backendError")), "transient retry"),
    ],
)
def test_codes_of_providers(plugin, fault, expected) -> None:
    """What a provider says goes before what its status means."""
    assert verdict(fault, plugin) == expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_grant", "auth fail"),
        (400, "BAD_REFRESH_TOKEN", "auth fail"),
        (401, "invalid_client", "auth fail"),
        (400, "unauthorized_client", "auth fail"),
        (400, "invalid_scope", "auth fail"),
        (403, "access_denied", "auth fail"),
        (400, "unsupported_grant_type", "config fail"),
        (400, "invalid_request", "config fail"),
        (503, "temporarily_unavailable", "transient retry"),
        (400, "server_error", "transient retry"),
        (400, "slow_down", "rate_limit wait"),
    ],
)
def test_oauth_codes(status, code, expected) -> None:
    """RFC 6749, and what providers add to it."""
    content = f'{{"error": "{code}", "error_description": "D"}}'.encode()
    fault = fault_of_reply(status, {}, content, source="oauth")
    assert verdict(fault) == expected
    assert fault.message == "D"


def test_invalid_request_is_for_oauth_only() -> None:
    """Elsewhere it says nothing about settings."""
    assert verdict(reply(400, {"error": "invalid_request"})) == "permanent fail"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", "rate_limit wait"),
        (400, "ThrottlingException", "rate_limit wait"),
        (500, "InternalError", "transient retry"),
        (400, "RequestTimeout", "transient retry"),
        (409, "OperationAborted", "transient retry"),
        (403, "RequestTimeTooSkewed", "config fail"),
        (403, "InvalidAccessKeyId", "auth fail"),
        (403, "SignatureDoesNotMatch", "auth fail"),
        (400, "ExpiredToken", "auth fail"),
        (403, "AccessDenied", "auth fail"),
        (404, "NoSuchBucket", "config fail"),
        (301, "PermanentRedirect", "config fail"),
        (400, "AuthorizationHeaderMalformed", "config fail"),
        (404, "NoSuchKey", "data skip"),
    ],
)
def test_s3_codes(status, code, expected) -> None:
    """In XML, and in the exception of botocore."""
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>M</Message></Error>"
    )
    assert verdict(reply(status, body.encode())) == expected
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = botocore.exceptions.ClientError(answer, "GetObject")
    fault = fault_of_exception(error)
    assert (fault.source, verdict(fault)) == ("s3", expected)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["08000", "08001", "08003", "08004", "08006", "08P01"], "transient retry"),
        (["57P01", "57P02", "57P03", "57P05"], "transient retry"),
        (["40001", "40P01", "40003", "55P03", "25P03"], "transient retry"),
        (["53000", "53200", "53300", "53400"], "transient retry"),
        (["53100", "58030"], "transient stop"),
        (["57014"], "transient retry"),
        (["28000", "28P01"], "auth fail"),
        (["42501"], "auth fail"),
        (["3D000", "3F000", "57P04"], "config fail"),
        (["22P02", "22003"], "data fail"),
        (["42P01", "42601", "0A000"], "permanent fail"),
        (["XX001", "XX002", "XX000", "25006", "54000"], "permanent fail"),
    ],
)
def test_sqlstates(states, expected) -> None:
    """Of psycopg2 and of what has `sqlstate`; classes by their two characters."""

    class DriverError(Exception):
        sqlstate = ""

    class OldDriverError(psycopg2.Error):
        pgcode = ""

    for state in states:
        new, old = DriverError("boom"), OldDriverError("boom")
        new.sqlstate = OldDriverError.pgcode = state
        assert verdict(fault_of_exception(new)) == expected, state
        assert verdict(fault_of_exception(old, source="postgres")) == expected, state


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1040, 1053, 1158, 1159, 1160, 1161, 1184], "transient retry"),
        ([2002, 2003, 2006, 2013, 2055], "transient retry"),
        ([1205, 1213, 3024, 3572], "transient retry"),
        ([1226], "rate_limit stop"),
        ([1021, 1041, 1114], "transient stop"),
        ([1045, 1130, 1698, 2059], "auth fail"),
        ([1044, 1142, 1143, 1227], "auth fail"),
        ([1049, 1193, 2005, 2026], "config fail"),
        ([1236, 1054, 1064, 1146, 9999], "permanent fail"),
    ],
)
def test_mysql_numbers(numbers, expected) -> None:
    """The first argument of what PyMySQL raises."""
    error = type("OperationalError", (Exception,), {"__module__": "pymysql.err"})
    for number in numbers:
        fault = fault_of_exception(error(number, "message"))
        assert (fault.source, fault.errno) == ("mysql", number)
        assert verdict(fault) == expected, number


def test_numbers_of_others_are_not_mysql() -> None:
    """1045 means nothing elsewhere."""
    fault = fault_of_exception(KeyError(1045))
    assert (fault.errno, verdict(fault)) == (None, "permanent fail")


def caused(outer, inner):
    """Raise one exception from another."""
    try:
        raise outer from inner
    except Exception as error:  # noqa: BLE001
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.ConnectTimeout(), "transient retry"),
        (requests.ReadTimeout(), "transient retry"),
        (requests.ConnectionError(), "transient retry"),
        (requests.exceptions.ChunkedEncodingError(), "transient retry"),
        (requests.exceptions.ContentDecodingError(), "transient retry"),
        (requests.TooManyRedirects(), "permanent fail"),
        (requests.exceptions.InvalidURL("http://u:p@"), "config fail"),
        (requests.exceptions.ProxyError("407 Proxy Auth"), "auth fail"),
        (requests.exceptions.ProxyError("down"), "transient retry"),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError()), "config fail"),
        (ssl.SSLError(1, "[SSL: BAD_RECORD_MAC] bad record mac"), "transient retry"),
        (ssl.SSLError(1, "[SSL] wrong version number (_ssl.c)"), "config fail"),
        (ssl.SSLEOFError(8, "EOF occurred"), "transient retry"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "transient retry"),
        (BrokenPipeError(), "transient retry"),
        (TimeoutError(), "transient retry"),
        (socket.gaierror(-2, "Name or service not known"), "config retry"),
        (socket.gaierror(-3, "Temporary failure in name"), "transient retry"),
        (OSError(errno.ENOSPC, "No space left"), "transient stop"),
        (OSError(errno.EMFILE, "Too many open files"), "transient stop"),
        (PermissionError(errno.EACCES, "denied"), "config fail"),
        (FileNotFoundError(errno.ENOENT, "none"), "config fail"),
        (RuntimeError("server closed the connection unexpectedly"), "transient retry"),
        (RuntimeError('password authentication failed for user "x"'), "auth fail"),
        (caused(RuntimeError("outer"), ConnectionResetError()), "transient retry"),
        (caused(KeyError(1), TimeoutError()), "transient retry"),
        (ValueError("nobody thought of this"), "permanent fail"),
    ],
)
def test_exceptions(error, expected) -> None:
    """By the names of their classes, of their bases and of their causes."""
    assert verdict(fault_of_exception(error)) == expected


def test_a_cause_in_a_circle() -> None:
    """It ends."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert fault_of_exception(one).exceptions[0] == "ValueError"


@pytest.mark.parametrize("is_suppressed", [True, False])
def test_a_suppressed_context_is_no_cause(is_suppressed) -> None:
    """`raise ... from None` says so."""
    error = ValueError()
    error.__context__ = TimeoutError()
    error.__suppress_context__ = is_suppressed
    assert ("TimeoutError" in fault_of_exception(error).exceptions) != is_suppressed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 7.5 ", 7.5),
        ("0", 0),
        ("-3", 0),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Fri, 99 Foo 2027 99:99:99 GMT", None),
    ],
)
def test_retry_after(text, seconds) -> None:
    """A number or a date; what is neither counts as none."""
    assert retry_after({"retry-after": text}, NOW) == seconds
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    "write", [formatdate, lambda at: time.asctime(time.gmtime(at))]
)
def test_a_date_without_a_zone_is_in_utc(monkeypatch, write) -> None:
    """Wherever this machine stands."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        found = retry_after({"retry-after": write(NOW + 90)}, NOW)
    time.tzset()
    assert found == 90


@given(st.text())
def test_retry_after_never_fails(text) -> None:
    """Whatever a server sends."""
    found = retry_after({"retry-after": text}, NOW)
    assert found is None or found >= 0


@given(st.binary() | st.text().map(str.encode), st.integers(100, 599))
def test_any_answer_has_a_decision(body, status) -> None:
    """No body is too strange to be classified and described."""
    decision = shipped("tap-any").classify(fault_of_reply(status, {}, body), NOW)
    assert decision.reason
    assert len(decision.reason) < 700


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "details", "reason", "code", "status"])
            | st.text(),
            inner,
        )
    ),
)


@given(JSON)
def test_any_json_has_a_decision(content) -> None:
    """No shape is too strange either."""
    assert shipped("tap-any").classify(reply(400, content), NOW).rule


def test_the_longer_wait_counts() -> None:
    """The server's wish or the rule's, and the time that it means."""
    hubspot = {"policyName": "DAILY"}
    short = decide(reply(429, hubspot, retry_after="5"), "tap-hubspot")
    long = decide(reply(429, hubspot, retry_after="5000"), "tap-hubspot")
    assert (short.retry_after, short.not_before) == (3600, NOW + 3600)
    assert (long.retry_after, long.not_before) == (5000, NOW + 5000)
    none = decide(reply(429))
    assert (none.retry_after, none.not_before) == (None, None)


@pytest.mark.parametrize(
    ("category", "action", "status", "error"),
    [
        ("transient", "retry", 500, TryLaterError),
        ("rate_limit", "wait", 429, TryLaterError),
        ("rate_limit", "skip", 403, SkippedError),
        ("auth", "refresh", 401, CredentialsError),
        ("auth", "fail", 403, CredentialsError),
        ("auth", "skip", 403, NotPermittedError),
        ("config", "fail", None, ConfigurationError),
        ("config", "retry", None, ConfigurationError),
        ("data", "skip", 404, GoneError),
        ("data", "skip", 410, GoneError),
        ("data", "skip", 403, SkippedError),
        ("data", "fail", 404, RefusedError),
        ("permanent", "fail", 400, RefusedError),
        ("permanent", "stop", 400, TryLaterError),
    ],
)
def test_errors_of_decisions(category, action, status, error) -> None:
    """Category and action name the error, and so the exit code."""
    decision = Decision(
        Category(category), Action(action), reason="R.", hint="H.", not_before=NOW
    )
    found = error_of(decision, Fault("http", status=status))
    assert type(found) is error
    assert found.decision is decision
    assert str(found) == "R. H. Not before 2027-01-15T08:00:00Z."
    assert getattr(found, "not_before", NOW) == NOW


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            Fault("http", status=500, endpoint="GET http://a/b"),
            "GET http://a/b answered 500.",
        ),
        (
            Fault("mysql", errno=1045, exceptions=("OperationalError",)),
            "mysql failed with OperationalError (1045).",
        ),
        (Fault("python"), "python failed with an error."),
        (
            Fault(
                "http", status=400, code="c", error_type="t", message="Of  jo@x.org.\n"
            ),
            "http answered 400 (c, t): Of ***.",
        ),
        (
            Fault("http", status=400, message="x" * 300, request_id="req_1"),
            f"http answered 400: {'x' * 200}.... Request req_1.",
        ),
    ],
)
def test_descriptions(fault, text) -> None:
    """One sentence: where, what, which code; no address, no long text."""
    assert describe(fault) == text


def test_long_texts_take_no_time() -> None:
    """A megabyte without a blank is cut before any pattern searches it."""
    long = reply(400, {"message": "x" * 1_000_000})
    assert len(long.message) == 1000
    assert decide(long).reason == f"http answered 400: {'x' * 200}...."
    assert len(fault_of_exception(ValueError("x" * 1_000_000)).message) == 1000


def test_places_show_no_secrets() -> None:
    """Neither a password in the URL nor its query."""
    url = "https://me:word@api.example.com:8443/v1/x?key=secret#f"
    assert endpoint_of("GET", url) == "GET https://api.example.com:8443/v1/x"
    error = requests.ConnectionError("Max retries with url: /v1/x?key=secret (Caused)")
    assert (
        fault_of_exception(error).message == "Max retries with url: /v1/x?*** (Caused)"
    )


def test_request_ids_are_found() -> None:
    """Support asks for them first."""
    for name in ("request_id", "x_request_id", "x_hubspot_correlation_id"):
        assert reply(500, **{name: "req_1"}).request_id == "req_1"


def test_the_copy_in_configs_is_the_shipped_file() -> None:
    """What the documentation shows is what is in the package."""
    copy = Path(__file__).parents[3] / "configs" / "error_handling.yaml"
    assert copy.read_text() == SHIPPED.read_text()


def test_the_example_in_the_documentation_is_valid(override) -> None:
    """And does what the text around it says."""
    page = Path(__file__).parents[3] / "docs" / "ERROR_HANDLING.md"
    path = override(page.read_text().partition("```yaml")[2].partition("```")[0])
    assert load_policy(path, "tap-a").max_attempts == 8
    assert load_policy(path, "tap-stripe").max_attempts == 10
    maintenance = fault_of_reply(503, {}, b'{"message": "Under Maintenance"}')
    assert decide(maintenance, overrides=path).rule == "gateway_maintenance"
    assert decide(reply(503), overrides=path).action is Action.STOP
    timeout = fault_of_exception(TimeoutError())
    assert decide(timeout, overrides=path).action is Action.RETRY
    assert decide(reply(403), "tap-stripe", path).action is Action.FAIL
    assert decide(reply(403), "tap-a", path).action is Action.SKIP


def test_shipped_names_are_unique_and_hints_are_sentences() -> None:
    """A name leads to one row, and every hint can end a message."""
    for plugin in (*PLUGINS, "tap-any"):
        rules = load_rules(None, plugin)
        assert len({rule.name for rule in rules}) == len(rules)
        for rule in rules:
            assert rule.when, rule.name
            assert not rule.hint or rule.hint.endswith("."), rule.name


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_shipped_rule_can_decide(plugin) -> None:
    """No row is hidden behind another: each decides about a fault made for it."""
    classifier = Classifier(load_rules(None, plugin))
    for rule in load_rules(None, plugin):
        found = {classifier.classify(one, NOW).rule for one in faults_for(rule)}
        assert rule.name in found, rule.name


def faults_for(rule):
    """Make faults that have nothing but what the rule asks for."""
    alternatives = [{}]
    for name, wanted in rule.when.items():
        alternatives = [{**a, name: one} for a in alternatives for one in wanted]
    for parts in alternatives:
        texts = {"message": parts.get("message", "").replace("(?i)", "").split("|")[0]}
        texts["message"] = (
            texts["message"].replace(".?", " ").replace("(reset", "reset")
        )
        texts["message"] = texts["message"].replace(r"\.", ".")
        yield Fault(
            source=parts.get("source", "http"),
            status=int(str(parts["status"]).replace("x", "6"))
            if "status" in parts
            else None,
            headers=dict([parts["header"]]) if "header" in parts else {},
            code=parts.get("code", "").replace("*", ""),
            error_type=parts.get("type", ""),
            param=parts.get("param", ""),
            sqlstate=parts.get("sqlstate", "").ljust(5, "Z")
            if "sqlstate" in parts
            else "",
            errno=parts.get("errno"),
            exceptions=(parts["exception"],) if "exception" in parts else (),
            **texts,
        )


@pytest.fixture
def override(tmp_path):
    """Write a file of the user."""

    def write(content):
        path = tmp_path / "mine.yaml"
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text)
        return path

    return write


def test_a_known_rule_changes_in_part(override) -> None:
    """What the file does not name stays as shipped, in its place."""
    path = override({"rules": [{"name": "http_forbidden", "action": "fail"}]})
    decision = decide(reply(403), overrides=path)
    assert (decision.category, decision.action) == (Category.AUTH, Action.FAIL)
    assert decision.hint.startswith("The credentials lack")
    names = [rule.name for rule in load_rules(None, "tap-any")]
    assert [rule.name for rule in load_rules(path, "tap-any")] == names


def test_a_new_rule_comes_first(override) -> None:
    """It decides before all that is shipped, and others decide about the rest."""
    rule = {
        "name": "teapot",
        "when": {"status": [418, 403], "endpoint": "*/tea", "source": "http"},
        "category": "transient",
        "action": "wait",
        "hint": "Put the kettle on.",
        "retry_after_seconds": 2,
        "max_attempts": 3,
    }
    path = override({"rules": [rule]})
    fault = Fault("http", status=403, endpoint="GET http://a/tea")
    decision = decide(fault, "tap-stripe", path)
    assert (decision.rule, decision.retry_after) == ("teapot", 2)
    assert (decision.max_attempts, decision.hint) == (3, "Put the kettle on.")
    assert decide(reply(403), "tap-stripe", path).rule == "http_forbidden"


def test_a_plugin_has_rules_of_its_own(override) -> None:
    """They go before those for all; other plugins do not see them."""
    path = override(
        {
            "rules": [{"name": "http_gone", "action": "fail"}],
            "plugins": {"tap-b": {"rules": [{"name": "http_gone", "action": "retry"}]}},
        }
    )
    assert decide(reply(404), "tap-a", path).action is Action.FAIL
    assert decide(reply(404), "tap-b", path).action is Action.RETRY


def test_a_whole_class_of_errors_can_be_changed(override) -> None:
    """For all plugins or one; a rule that the file names goes before its class."""
    path = override(
        {
            "categories": {"transient": {"action": "stop"}},
            "rules": [{"name": "timeout", "action": "retry"}],
            "plugins": {
                "tap-b": {"categories": {"rate_limit": {"retry_after_seconds": 60}}}
            },
        }
    )
    assert decide(reply(503), overrides=path).action is Action.STOP
    assert (
        decide(fault_of_exception(TimeoutError()), overrides=path).action
        is Action.RETRY
    )
    assert decide(reply(429), overrides=path).retry_after is None
    assert decide(reply(429), "tap-b", path).retry_after == 60
    assert decide(reply(404), "tap-b", path).action is Action.SKIP


def test_patience_can_be_changed(override) -> None:
    """For all plugins or one; the shipped numbers are the code's own."""
    assert load_policy(None, "tap-a") == RetryPolicy()
    path = override(
        {
            "retry": {"max_attempts": 3, "deadline_seconds": 60.5},
            "plugins": {"tap-b": {"retry": {"max_attempts": 9}}},
        }
    )
    assert load_policy(path, "tap-a") == RetryPolicy(3, deadline_seconds=60.5)
    assert load_policy(path, "tap-b") == RetryPolicy(9, deadline_seconds=60.5)


def new(**parts):
    """Return a file with one rule that is new, and right but for these parts."""
    rule = {"name": "n", "when": {"status": 418}, "category": "data", "action": "skip"}
    rule |= parts
    return {"rules": [{k: v for k, v in rule.items() if v is not None}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("rules: [", "mine.yaml is not YAML"),
        ("- a", "mine.yaml must be a mapping"),
        ({"rule": []}, "unknown section 'rule'"),
        ({"rules": {}}, None),
        ({"rules": {"a": 1}}, "rules must be a list"),
        ({"rules": ["a"]}, "rule 1 must be a mapping"),
        ({"rules": [{"action": "skip"}]}, "rule 1 has no name"),
        (new(name=7), "rule 1 has no name"),
        (new(category=None), "rule 'n' is new and lacks category"),
        (new(when=None, action=None), "rule 'n' is new and lacks when and action"),
        (new(category="bad"), "rule 'n', category, must be one of transient, rate_lim"),
        (new(action="again"), "rule 'n', action, must be one of retry.*not 'again'"),
        (new(color="red"), "rule 'n' has an unknown key 'color'"),
        (new(hint=3), "rule 'n', hint, must be a text"),
        (new(retry_after_seconds=0), "rule 'n', retry_after_seconds, must be a number"),
        (new(retry_after_seconds=True), "must be a number above 0"),
        (new(retry_after_seconds=float("nan")), "must be a number above 0"),
        ({"retry": {"base_seconds": float("nan")}}, "must be a number above 0"),
        ({"retry": {"cap_seconds": float("inf")}}, "must be a number above 0"),
        (new(max_attempts=1.5), "rule 'n', max_attempts, must be a whole number"),
        (new(max_attempts=True), "must be a whole number"),
        (new(when=["a"]), "rule 'n', when, must be a mapping"),
        (new(when={"state": 1}), "unknown condition 'state'"),
        (new(when={"status": []}), "when, status has no value"),
        (new(when={"header": {}}), "when, header has no value"),
        (new(when={"status": "9xx"}), "must be like 429 or 5xx, not '9xx'"),
        (new(when={"status": [418, 5]}), "must be like 429 or 5xx, not 5"),
        (new(when={"errno": "1045"}), "must be a whole number"),
        (new(when={"code": 7}), "code must be a text"),
        (new(when={"sqlstate": [40]}), "sqlstate must be a text"),
        (new(when={"message": "("}), "is not a regular expression"),
        (new(when={"header": "x"}), "header must be a mapping"),
        ({"rules": [*new()["rules"], *new()["rules"]]}, "rule 'n' is there twice"),
        ({"categories": {"odd": {}}}, "unknown category 'odd'"),
        ({"categories": {"auth": {"when": {}}}}, "categories.auth cannot set when"),
        ({"categories": {"auth": 3}}, "categories.auth must be a mapping"),
        ({"categories": {"auth": {"action": "x"}}}, "action, must be one of"),
        ({"plugins": []}, None),
        ({"plugins": [1]}, "plugins must be a mapping"),
        ({"plugins": {"tap-a": [1]}}, "plugins.tap-a must be a mapping"),
        ({"plugins": {"tap-a": {"x": 1}}}, "plugins.tap-a has an unknown section 'x'"),
        ({"plugins": {"tap-b": {"x": 1}}}, None),
        ({"retry": {"attempts": 3}}, r"retry\.attempts is unknown"),
        ({"retry": {"max_attempts": 2.5}}, r"retry\.max_attempts must be a whole"),
        ({"retry": {"cap_seconds": -1}}, r"retry\.cap_seconds must be a number above"),
        ({"retry": [1]}, "retry must be a mapping"),
        ({"version": 1}, None),
        ("", None),
    ],
)
def test_mistakes_are_named(override, content, words) -> None:
    """The error names the file and the rule; what is merely empty is fine."""
    path = override(content)
    if words is None:
        load_rules(path, "tap-a")
        load_policy(path, "tap-a")
        return
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_policy(path, "tap-a") and load_rules(path, "tap-a")
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path) -> None:
    """It is named, with what the system says."""
    with pytest.raises(ConfigurationError, match=r"no\.yaml cannot be read .No such"):
        load_rules(tmp_path / "no.yaml", "tap-a")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="is not YAML"):
        load_rules(tmp_path / "bytes.yaml", "tap-a")
