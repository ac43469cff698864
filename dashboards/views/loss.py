"""What is lost if something burns, is encrypted or leaves; what survives, who is hit, and the plan that would mend it."""

from dataclasses import asdict

import streamlit as st

from catalog.config import Policy
from dashboards import acting, asking, chrome, links, losses, marks, tables
from reports import remedy
from reports.reach import Loss
from reports.simulate import Simulation, Sum
from reports.state import counted, percent
from reports.terminal import size

OUTCOMES = {"lost_assets": "lost", "unknown_assets": "unknown", "surviving_assets": "survives"}

_SUMS = asking.columns(
    name="whose, or where",
    lost_assets=("assets that are lost", "files"),
    unknown_assets=("assets that are perhaps lost", "files"),
    surviving_assets=("assets that survive", "files"),
    bytes_lost=("bytes that are lost", "bytes"),
)
_HITS = asking.columns(
    volume="where it lies",
    path="its path",
    size_bytes=("its size", "bytes"),
    data_class="its class",
    owner="its owner",
    outcome="what comes of it",
    left="what is left in its place",
)


_RECALLS = asking.columns(
    volume="the volume that it is read from; of several the one that is reached soonest",
    recall="whether it can be read at once, after a wait, or when somebody fetches the medium",
    assets=("assets that come from there", "files"),
    bytes=("their bytes", "bytes"),
    older_assets=("of these, as an older version", "files"),
    wait_hours=("hours until it can be read", "hours"),
    hours=("hours until all of it is read, as declared", "hours"),
)
_SINGLE = asking.columns(
    kind="what is lost",
    name="its name",
    lost_assets=("assets that are lost", "files"),
    lost_bytes=("bytes that are lost", "bytes"),
    unknown_assets=("assets that are perhaps lost", "files"),
    unknown_bytes=("bytes that are perhaps lost", "bytes"),
    older_assets=("assets of which only an older version survives", "files"),
    keyless_assets=("assets that survive only as long as a key does that nobody says where it is kept", "files"),
)


def draw() -> None:
    """Draw the page."""
    chrome.title("Loss simulator", "What is lost if this burns, is encrypted or leaves, and what do we do about it?")
    loss = _chosen()
    if loss is None:
        st.info("No volume says where it is: declare 'site', 'system' and 'admin' in lastcopy.toml.", icon=":material/info:")
        return
    found = asking.simulated(loss)
    _outcome(found)
    _mend(loss, found)
    left, right = chrome.halves("hit")
    with left:
        st.subheader("Who is hit", anchor=False)
        by = chrome.one_of("By", ["owner", "class", "volume"], "hit")
        _sums(_by(found, by), by)
    with right:
        st.subheader("Where survivors lie", anchor=False)
        st.caption("A file that survives in several places counts at each.")
        _sums(found.survivors, "survivors")
    _bring_back(found)
    st.subheader("The greatest losses", anchor=False)
    _worst(found)
    single = asking.single_losses(loss.mounted)
    st.subheader("Single points of failure", anchor=False)
    st.caption("Every site, system, device, administrator, volume and threat by itself, the worst first.")
    tables.draw(asking.answer("single-losses", _SINGLE, single), "loss-single")
    st.code(marks.command("simulate", *_words(loss), "--snapshot", found.snapshot), language=None, wrap_lines=True)


def _chosen() -> Loss | None:
    rows = asking.report("volumes", limit=None).dicts()
    names = losses.offered(rows)
    happenings = [happening for happening, kind in losses.KINDS.items() if names[kind]]
    left, middle, right = st.columns([2, 2, 3], vertical_alignment="bottom")
    with left:
        happening = st.selectbox("What happens", happenings, key="happens", bind="query-params")
    if happening is None:
        return None
    kind = losses.KINDS[happening]
    with middle:
        what = str(st.selectbox("Which one", names[kind], key=losses.which(kind), bind="query-params"))
    with right:
        offline = [row["volume"] for row in rows if row["access"] == "offline"]
        mounted = st.multiselect("Offline volumes that are plugged in then", offline, key="mounted", bind="query-params", disabled=not offline)
    return losses.loss(kind, what, mounted)


def _words(loss: Loss) -> list[str]:
    words = [word for kind, name in loss.lose for word in ("--lose", f"{kind}={name}")]
    words += ["--threat", loss.threat] if loss.threat else []
    return words + [word for name in loss.mounted for word in ("--mounted", name)]


def _outcome(found: Simulation) -> None:
    st.subheader(marks.escaped(found.title), anchor=False)
    known = asking.known()
    titles = {"lost": "✗ Lost for good", "unknown": "? Perhaps lost", "survives": "✓ Survives"}
    for one, column in zip(found.totals, st.columns(3), strict=True):
        with column, st.container(border=True, height="stretch", gap="xxsmall"):
            st.metric(titles[one.outcome], f"{one.assets:,}")
            st.caption(f"assets, {percent(one.assets, known.assets)} of all · {size(one.bytes)}, {percent(one.bytes, known.asset_bytes)} of the bytes")
    if found.older.assets:
        st.caption(f"Of what survives, {counted(found.older.assets, 'asset')} ({size(found.older.bytes)}) only as an older version.")
    if found.keyless.assets:
        st.caption(marks.escaped(found.keyless.text().strip()))


def _mend(loss: Loss, found: Simulation) -> None:
    with st.container(border=True):
        st.markdown("**What to do about it**")
        if not any(one.assets for one in found.totals if one.outcome != "survives"):
            left = found.older.assets or found.keyless.assets
            st.markdown(
                "Nothing is known to be lost, but see what survives only so." if left else "Nothing that is known would be lost: there is nothing to do."
            )
            return
        if not found.targets:
            st.markdown(
                "No volume that may hold copies is known to be safe from this: **prepare one elsewhere**, or declare where the volumes are, in lastcopy.toml."
            )
            return
        targets = {one.volume: one for one in found.targets}
        to = st.selectbox("Copy what would be lost to", list(targets), key="to", bind="query-params")
        chosen = targets[to or found.targets[0].volume]
        threat = remedy.threat_of([kind for kind, _ in loss.lose], loss.threat)
        where = remedy.condition(threat, chosen.protects)
        st.caption(
            f"{chosen.volume} is {chosen.access or 'perhaps not connected'}, and protects {', '.join(chosen.protects)}: "
            "the plan takes what may be lost of these, but what a class waives or an exception accepts. "
            "It changes nothing: it is frozen, says what it does for coverage and cost, and waits for an approval."
        )
        acting.offer(Policy(action="copy", report=remedy.REPORT, where=where, to=chosen.volume), "loss")


def _by(found: Simulation, by: str) -> tuple[Sum, ...]:
    return {"class": found.by_class, "volume": found.by_volume, "owner": found.by_owner}[by]


def _sums(sums: tuple[Sum, ...], key: str) -> None:
    names = list(dict.fromkeys(one.name for one in sums))
    if not names:
        st.caption("Nothing.")
        return
    found = {(one.name, one.outcome): one for one in sums}
    rows = [
        {
            "name": name or "(none)",
            **{column: found[name, outcome].assets if (name, outcome) in found else 0 for column, outcome in OUTCOMES.items()},
            "bytes_lost": found[name, "lost"].bytes if (name, "lost") in found else 0,
        }
        for name in names
    ]
    shown = (
        ("name", "unknown_assets", "surviving_assets") if key == "survivors" else ("name", "lost_assets", "bytes_lost", "unknown_assets", "surviving_assets")
    )
    tables.draw(asking.answer("simulate", _SUMS, rows), f"loss-{key}", shown)


def _bring_back(found: Simulation) -> None:
    if not found.recalls:
        return
    st.subheader("How it is brought back", anchor=False)
    took = "how long that takes is not declared of all" if found.recall_hours is None else f"{found.recall_hours:,.1f} hours, if all are read at once"
    st.caption(f"Each file from the volume that is reached soonest: {took}.")
    tables.draw(asking.answer("simulate", _RECALLS, [asdict(one) for one in found.recalls]), "loss-recalls")


def _worst(found: Simulation) -> None:
    rows = [{**{column.name: getattr(hit, column.name) for column in _HITS[:-1]}, "left": hit.remark.strip(" ()")} for hit in found.worst]
    links.to_file(tables.draw(asking.answer("simulate", _HITS, rows), "loss-worst", click=True))


draw()
