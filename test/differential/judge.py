"""How two readers of the same bytes differ, and the tables that say why (differences.yaml of requests,
answer_differences.yaml of answers)."""
import collections
import dataclasses
import fnmatch
import pathlib

import yaml

TABLE = pathlib.Path(__file__).parent / "differences.yaml"
ANSWER_TABLE = pathlib.Path(__file__).parent / "answer_differences.yaml"

KINDS = {
    "stricter": "we refuse where the peer takes the message, waits, or refuses later",
    "looser": "the peer refuses where we take the message",
    "later": "the peer refuses where we wait for more",
    "closes": "we end the connection in order where the peer goes on (of answers: uses it again)",
    "keeps": "the peer ends the connection in order where we go on, wait, or use it again",
    "boundaries": "both take a message, and it is not the same one",
}


def kind_of(ours, theirs):
    """The kind of difference between two outcomes, or None."""
    if ours == theirs:
        return None
    n = 0
    while n < min(len(ours.messages), len(theirs.messages)) and ours.messages[n] == theirs.messages[n]:
        n += 1
    is_ours_first, are_theirs_first = n == len(ours.messages), n == len(theirs.messages)
    if is_ours_first and ours.end == "refused":
        return "stricter"
    if are_theirs_first and theirs.end == "refused":
        return "later" if is_ours_first and ours.end == "waits" else "looser"
    if is_ours_first and ours.end == "closed":
        return "closes"
    if are_theirs_first and theirs.end == "closed":
        return "keeps"
    return "boundaries"


@dataclasses.dataclass(frozen=True)
class Difference:
    vector: object
    peer: str
    kind: str
    ours: object
    theirs: object

    def __str__(self):
        return (f"{self.kind} than {self.peer}: {self.vector.name}\n    {self.vector.data!r}\n"
                f"    ours   {self.ours}\n    {self.peer:6} {self.theirs}")


def fits(tags, pattern):
    return any(fnmatch.fnmatchcase(tag, pattern) for tag in tags) if "*" in pattern else pattern in tags


@dataclasses.dataclass(frozen=True)
class Row:
    """Explains the differences of `kind` from these peers in vectors with one of these tags (patterns with `*`),
    and, where it says so, only those that we refuse with this code. `is_unsteady`: the peer's processes differ among
    themselves, so that it is not always needed."""
    kind: str
    peers: tuple
    tags: tuple
    why: str
    refusals: tuple = ()
    is_unsteady: bool = False

    def faults(self):
        if self.kind not in KINDS:
            yield f"no kind of difference: {self.kind}"
        if len(self.why.split()) < 5:
            yield f"no reason: {self.why}"
        # Refusing is safe whatever the peer does; of everything else each case is looked at by itself.
        if self.kind == "stricter" and not self.refusals:
            yield "stricter by which refusal?"
        # An edit's name begins with what was done: that may be anything.
        if self.kind != "stricter" and any("*" in tag.removeprefix("*:") for tag in self.tags):
            yield f"{self.kind} is explained by name only"

    def parts(self):
        """What must be needed, each by itself."""
        return [(peer, tag, said) for peer in self.peers for tag in self.tags for said in self.refusals or ("",)]

    def explains(self, difference):
        """Those parts that explain it."""
        if difference.kind != self.kind or difference.vector.is_good:
            return []
        return [part for part in self.parts() if part[0] == difference.peer and part[2] in ("", difference.ours.said)
                and fits(difference.vector.tags, part[1])]


def read_table(path=TABLE):
    rows = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []:
        rows.append(Row(entry["kind"], tuple(entry["peers"]), tuple(entry["tags"]), entry["why"],
                        tuple(entry.get("refusals", ())), entry.get("unsteady", False)))
    return rows


def compare(vectors, ours, theirs, peer):
    """The differences from one peer."""
    found = []
    for vector, our, their in zip(vectors, ours, theirs):
        kind = kind_of(our, their)
        if kind:
            found.append(Difference(vector, peer, kind, our, their))
    return found


def sort_out(differences, rows):
    """(those that no row explains, the parts of rows that explain nothing)"""
    unused = {(row, part) for row in rows if not row.is_unsteady for part in row.parts()}
    unexplained = []
    for difference in differences:
        is_explained = False
        for row in rows:
            for part in row.explains(difference):
                unused.discard((row, part))
                is_explained = True
        if not is_explained:
            unexplained.append(difference)
    return unexplained, unused


def summary(differences):
    """A page for people: how many differences of which kind, by refusal and tag."""
    counts = collections.Counter()
    for d in differences:
        for tag in d.vector.tags:
            counts[(d.kind, d.peer, d.ours.said, tag)] += 1
    return "\n".join(f"{n:5} {' '.join(key)}" for key, n in sorted(counts.items()))
