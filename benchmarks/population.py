"""Made-up file trees as numpy columns: folders, names, sizes, times, owners, duplicates and hard links; no file is on disk."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
FILE, FOLDER, LINK = 0, 1, 2
CHILDREN = 8  # folders in a folder
ENTRIES_PER_FOLDER = 13
_TOP = ("labs", "media", "raw", "scratch", "src", "contracts", "web", "finance")
_WORDS = (
    "report", "data", "img", "notes", "final", "draft", "index", "main", "test", "run", "sample", "export", "model", "invoice",
    "scan", "backup", "config", "minutes", "budget", "survey", "README", "setup", "module", "figure", "table", "batch", "Übersicht", "résumé",
)  # fmt: skip
_ENDINGS = ("", ".txt", ".pdf", ".docx", ".xlsx", ".py", ".c", ".h", ".jpg", ".png", ".csv", ".parquet", ".log", ".json", ".zip", ".mp4", ".tif", ".bam")
_ENDING_WEIGHTS = (4, 12, 9, 7, 6, 14, 5, 4, 10, 8, 6, 1, 4, 5, 2, 1, 1, 1)


@dataclass(frozen=True)
class Population:
    """The entries of one tree, a row each, in the order of their folders.

    `paths` are the folders' paths, sorted, each with its trailing slash, the root ''; `folder` indexes it. Times are
    microseconds since 1970, `content` is equal where the bytes are.
    """

    paths: pa.Array
    names: pa.Array
    folder: Ints
    kind: Ints
    size: Ints
    content: Ints
    modified: Ints
    accessed: Ints
    changed: Ints
    created: Ints
    user: Ints
    inode: Ints
    links: Ints

    def __len__(self) -> int:
        return len(self.folder)

    def rows(self, chosen: "Ints | Flags | slice") -> "Population":
        """Some of the entries; the folders' paths stay."""
        picked = {name: getattr(self, name)[chosen] for name in _COLUMNS}
        if isinstance(chosen, slice):
            return replace(self, names=self.names[chosen], **picked)
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        return replace(self, names=self.names.take(pa.array(index)), **picked)


_COLUMNS = ("folder", "kind", "size", "content", "modified", "accessed", "changed", "created", "user", "inode", "links")


def grow(entries: int, now_us: int, seed: int, top: tuple[str, ...] = _TOP) -> Population:
    """A tree of that many entries as of a time; one seed gives the same tree. `top` are the names of its first eight folders."""
    rng = np.random.default_rng(seed)
    folders = max(entries // ENTRIES_PER_FOLDER, 1 + CHILDREN)
    paths, folder_names = _folders(folders, top)
    order = np.array(pc.sort_indices(paths))
    rank = np.empty(folders, np.int64)
    rank[order] = np.arange(folders)
    others = max(entries - (folders - 1), 0)
    # A few folders hold very many files, as real ones do.
    home = rng.choice(folders, others, p=_shares(rng.pareto(1.6, folders) + 0.05))
    parent = np.concatenate([(np.arange(1, folders) - 1) // CHILDREN, home])
    kind = np.concatenate([np.full(folders - 1, FOLDER), np.where(rng.random(others) < 0.03, LINK, FILE)])
    names = pa.concat_arrays([folder_names[1:], _names(rng, others)])
    tree = _attributes(rng, parent, kind, rng.random(folders), now_us=now_us, seed=seed)
    tree = replace(tree, folder=rank[parent], paths=paths.take(pa.array(order)), names=names)
    return _link(_duplicate(tree.rows(np.argsort(tree.folder, kind="stable")), rng), rng)


def copy(source: Population, now_us: int, seed: int, *, missing: float, older: float, conflict: float) -> Population:
    """What a mirror or a backup holds of a tree: shares of its files missing, older, or of the same size and time with other bytes."""
    rng = np.random.default_rng(seed)
    gone = rng.random(len(source.paths))[source.folder] < missing / 2
    held = source.rows(~((source.kind != FOLDER) & (gone | (rng.random(len(source)) < missing / 2))))
    draw, files = rng.random(len(held)), (held.kind == FILE) & (held.size > 0)
    stale = files & (draw < older)
    other = stale | (files & (draw > 1 - conflict))
    copied = now_us - rng.integers(0, 20 * DAY_US, len(held))
    return replace(
        held,
        size=np.where(stale, held.size - held.size // 9 + 1, held.size),
        modified=np.where(stale, held.modified - rng.integers(DAY_US, 90 * DAY_US, len(held)), held.modified),
        content=np.where(other, (seed << 40) + np.arange(len(held)), held.content),
        accessed=copied,
        changed=np.maximum(copied, held.modified),
        created=copied,
        inode=_inodes(rng, len(held)),
        links=np.where(held.kind == FOLDER, 2, 1),
    )


def below(trees: dict[str, Population]) -> Population:
    """Trees side by side, each in a folder of its name."""
    named = sorted(trees.items())
    first = named[0][1].rows(slice(0, 1))
    roots = replace(first, **{c: np.repeat(getattr(first, c), len(named)) for c in _COLUMNS})
    roots = replace(roots, folder=np.zeros(len(named), np.int64), kind=np.full(len(named), FOLDER))
    paths, names, parts, offset = [pa.array([""])], [pa.array([name for name, _ in named])], [roots], 1
    for name, tree in named:
        paths.append(pc.binary_join_element_wise(name + "/", tree.paths, ""))
        names.append(tree.names)
        parts.append(replace(tree, folder=tree.folder + offset, inode=tree.inode + int(parts[-1].inode.max())))
        offset += len(tree.paths)
    joined = {c: np.concatenate([getattr(part, c) for part in parts]) for c in _COLUMNS}
    return replace(roots, paths=pa.concat_arrays(paths), names=pa.concat_arrays(names), **joined)


def with_content_of(tree: Population, source: Population, share: float, seed: int) -> Population:
    """A tree a share of whose files hold the bytes of random files of another tree."""
    rng = np.random.default_rng(seed)
    taken = np.flatnonzero((tree.kind == FILE) & (rng.random(len(tree)) < share))
    given = rng.choice(np.flatnonzero(source.kind == FILE), len(taken))
    size, content = tree.size.copy(), tree.content.copy()
    size[taken], content[taken] = source.size[given], source.content[given]
    return replace(tree, size=size, content=content)


def _folders(count: int, top: tuple[str, ...]) -> tuple[pa.Array, pa.Array]:
    """Paths and names of a full tree of folders, breadth first, the root first."""
    number = np.arange(count)
    words = pa.array(_WORDS).take(pa.array(number * 7 % len(_WORDS)))
    names = pc.binary_join_element_wise(words, pa.array(number % 997).cast(pa.string()), pa.array(number % CHILDREN).cast(pa.string()), "_")
    names = pa.concat_arrays([pa.array(["", *top]), names[1 + len(top) :]])
    levels, done = [pa.array([""])], 1
    while done < count:
        level = number[done : min(done + len(levels[-1]) * CHILDREN, count)]
        above = levels[-1].take(pa.array((level - done) // CHILDREN))
        levels.append(pc.binary_join_element_wise(above, names[level[0] : level[-1] + 1], pa.scalar("/"), ""))
        done += len(level)
    return pa.concat_arrays(levels), names


def _names(rng: np.random.Generator, count: int) -> pa.Array:
    words = pa.array(_WORDS).take(pa.array(rng.integers(0, len(_WORDS), count)))
    endings = pa.array(_ENDINGS).take(pa.array(rng.choice(len(_ENDINGS), count, p=_shares(np.array(_ENDING_WEIGHTS)))))
    numbers = pa.array(rng.permutation(count)).cast(pa.string())  # unique: no name occurs twice in a folder
    return pc.binary_join_element_wise(pc.binary_join_element_wise(words, numbers, "-"), endings, "")


def _attributes(rng: np.random.Generator, parent: Ints, kind: Ints, age: npt.NDArray[np.float64], *, now_us: int, seed: int) -> Population:
    """Sizes, times and owners; a folder's files are of one season and of one owner."""
    count = len(parent)
    size = np.exp(rng.normal(8.6, 2.6, count)).astype(np.int64)
    size[rng.random(count) < 0.02] = 0
    size = np.where(kind == FOLDER, 4096, np.where(kind == LINK, 24, np.minimum(size, 1 << 40)))
    modified = now_us - (age[parent] ** 2 * 3000 * DAY_US).astype(np.int64) - rng.integers(0, 60 * DAY_US, count)
    modified -= np.where(rng.random(count) < 0.5, modified % 1_000_000, 0)  # unpacked from archives: whole seconds
    lately = now_us - (rng.random(count) ** 3 * 900 * DAY_US).astype(np.int64)
    none = np.zeros(0, np.int64)
    return Population(
        paths=pa.array([""]),
        names=pa.array([""]),
        folder=none,
        kind=kind,
        size=size,
        content=(seed << 40) + np.arange(count),
        modified=modified,
        accessed=np.where(rng.random(count) < 0.6, np.maximum(modified, lately), modified),
        changed=np.where(rng.random(count) < 0.2, np.maximum(modified, lately), modified),
        created=np.where(rng.random(count) < 0.6, modified, modified - rng.integers(0, 5 * DAY_US, count)),
        user=(parent * 2654435761 % 1009) ** 2 // 25_500,
        inode=_inodes(rng, count),
        links=np.where(kind == FOLDER, 2, 1),
    )


def _inodes(rng: np.random.Generator, count: int) -> Ints:
    return np.cumsum(rng.integers(1, 4, count)) + 1000


def _duplicate(tree: Population, rng: np.random.Generator) -> Population:
    """Every eighth file holds the bytes of another one."""
    files = np.flatnonzero(tree.kind == FILE)
    draw = rng.random(len(files))
    copies, pool = files[draw < 0.12], files[draw > 0.96]
    if not len(pool):
        return tree
    given = pool[(rng.random(len(copies)) ** 3 * len(pool)).astype(np.int64)]
    size, content = tree.size.copy(), tree.content.copy()
    size[copies], content[copies] = size[given], content[given]
    return replace(tree, size=size, content=content)


def _link(tree: Population, rng: np.random.Generator) -> Population:
    """One file in a hundred is a second name of the file before it."""
    files = np.flatnonzero(tree.kind == FILE)
    second = files[1:][(rng.random(max(len(files) - 1, 0)) < 0.01) & (np.arange(max(len(files) - 1, 0)) % 2 == 0)]
    first = files[np.searchsorted(files, second) - 1]
    columns = {name: getattr(tree, name).copy() for name in _COLUMNS if name != "folder"}
    for values in columns.values():
        values[second] = values[first]
    columns["links"][second] = columns["links"][first] = 2
    return replace(tree, **columns)


def _shares(weights: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    total: np.float64 = weights.astype(np.float64).sum()
    return weights.astype(np.float64) / total
