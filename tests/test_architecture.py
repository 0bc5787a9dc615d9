"""The house has floors: who may import whom, and what stays out of which room.

A new module of the core fails here until it has its line in ROOMS.
"""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "llm_core"

# Each room of the core, and the rooms whose doors are open to it.
ROOMS: dict[str, set[str]] = {
    # floor 0: text, ids, numbers
    "tokenizer": set(),
    "stories": set(),
    "corpus": {"stories"},
    "data": {"corpus", "tokenizer"},
    "attention": set(),
    "model": {"attention"},
    "optim": set(),
    "shards": {"data", "tokenizer"},
    # floor 1: what uses them
    "checkpoint": {"model", "tokenizer", "optim"},
    "trainer": {"data", "model", "optim", "checkpoint", "tokenizer"},
    "generation": {"model", "tokenizer"},
}
FLOOR_2 = ("evaluation", "finetune", "interop", "distributed")
ROOMS |= {room: set(ROOMS) for room in FLOOR_2}

WITHOUT_TORCH = {"tokenizer", "stories", "corpus"}
DRAWS = {"matplotlib", "IPython", "ipywidgets", "anywidget", "jupyterlab", "notebook"}
# Above the core: the course, the command line, and the door to the package itself.
ABOVE = {"course", "cli", "__main__", "__init__"}


def room_of(path: Path) -> str:
    """llm_core/trainer.py and llm_core/trainer/loop.py are both the room trainer."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


FILES = sorted(PACKAGE.rglob("*.py"))
CORE = [path for path in FILES if room_of(path) not in ABOVE]
HERE = {room_of(path) for path in FILES}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def imports(path: Path, nodes: Iterator[ast.AST]) -> set[str]:
    """The dotted names that import statements among the nodes ask for.

    `from a import b` counts as a.b, so that a module and a name look alike.
    """
    package = ".".join(("llm_core", *path.relative_to(PACKAGE).parent.parts))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def all_imports(path: Path) -> set[str]:
    return imports(path, ast.walk(parse(path)))


def rooms_asked(names: set[str]) -> set[str]:
    """The rooms of the package among dotted names; a lazy name counts as its room."""
    asked = set()
    for name in names:
        top, _, rest = name.partition(".")
        if top == "llm_core" and rest != "__version__":
            first = rest.partition(".")[0]
            asked.add(lazy_names().get(first, first) or "__init__")
    return asked


def lazy_names() -> dict[str, str]:
    """Every name that `from llm_core import …` offers, and the module it is from."""
    import llm_core

    return dict(llm_core._HOME)


def in_fresh_python(code: str, *arguments: str) -> set[str]:
    """Run code in a new interpreter; the modules that it loaded."""
    program = (
        "import json, sys\nbefore = set(sys.modules)\n"
        f"try:\n    {code}\nexcept SystemExit:\n    pass\n"
        "print()\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


# ---------------------------------------------------------------- the floors


def test_the_table_has_no_stairs_that_lead_back():
    order = list(TopologicalSorter(ROOMS).static_order())
    assert set(order) == set(ROOMS), "a door to a room that is not in the table"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_a_room_imports_only_from_the_rooms_below_it(path):
    room = room_of(path)
    assert room in ROOMS, f"{room} is a new room: give it a line in ROOMS"
    too_much = rooms_asked(all_imports(path)) - ROOMS[room] - {room}
    assert not too_much, f"{room} imports {sorted(too_much)}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_needs_only_what_it_promises(path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    promised = {
        "".join(letter if letter.isalnum() else " " for letter in line).split()[0]
        for line in project["project"]["dependencies"]
    }
    assert promised == {"torch", "numpy", "regex", "safetensors", "tqdm"}
    foreign = tops(all_imports(path)) - set(sys.stdlib_module_names) - {"llm_core"}
    if room_of(path) in WITHOUT_TORCH:
        promised -= {"torch", "numpy", "safetensors"}
    assert foreign <= promised


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_never_prints(path):
    calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if ast.unparse(call.func) == "print"]


def test_no_room_is_called_utils():
    assert not {"utils", "helpers", "common", "misc"} & {path.stem for path in FILES}


def test_the_command_line_imports_the_core_only_where_a_command_needs_it():
    loaded = in_fresh_python("import llm_core.cli, llm_core.__main__")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("llm_core.")}
    assert rooms == {"cli", "__main__"}
    assert tops(loaded) - set(sys.stdlib_module_names) == {"llm_core"}


# --------------------------------------------------------------- what is loaded


def test_importing_the_package_loads_nothing_else():
    loaded = in_fresh_python("import llm_core")
    assert {name for name in loaded if name.startswith("llm_core.")} == set()
    assert tops(loaded) - set(sys.stdlib_module_names) == {"llm_core"}


@pytest.mark.parametrize("room", sorted(WITHOUT_TORCH & HERE))
def test_rooms_of_text_leave_torch_out(room):
    loaded = tops(in_fresh_python(f"import llm_core.{room}"))
    assert not loaded & ({"torch", "numpy"} | DRAWS)


def test_the_core_leaves_everything_that_draws_out():
    rooms = ", ".join(f"llm_core.{room}" for room in sorted(HERE & set(ROOMS)))
    loaded = in_fresh_python(f"import {rooms}")
    assert not tops(loaded) & DRAWS
    assert not {name for name in loaded if name.startswith("llm_core.course")}


def test_a_step_of_training_leaves_the_compiler_of_torch_out():
    loaded = in_fresh_python(
        "import torch; from llm_core import PRESETS, Muon, estimate_model_size; "
        "from llm_core.optim import AdamW; estimate_model_size(PRESETS['tiny']); "
        "weight = torch.ones(2, 2, requires_grad=True); weight.sum().backward(); "
        "[o.step() for o in (AdamW([weight]), Muon([weight], learning_rate=1.0))]"
    )
    assert "torch" in loaded
    assert "torch._dynamo" not in loaded


def test_help_loads_neither_torch_nor_anything_that_draws():
    loaded = in_fresh_python("from llm_core.cli import main; main()", "--help")
    assert not tops(loaded) & ({"torch", "numpy", "regex"} | DRAWS)


def test_every_lazy_name_is_defined_in_the_module_it_is_said_to_be_from():
    for name, room in lazy_names().items():
        if room in HERE:
            defined = set()
            for node in ast.walk(parse(PACKAGE / f"{room}.py")):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    defined.add(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    defined.add(node.id)
            assert name in defined, f"llm_core.{room} has no {name}"


# ------------------------------------------------- the tests above see what they say


def test_every_way_to_write_an_import_is_seen():
    code = (
        "import llm_core.course.plots as p\nfrom . import cli\nfrom .model import GPT\n"
        "from llm_core import corpus, load_corpus, __version__\n"
        "def f():\n    from llm_core.trainer import Trainer\n"
    )
    tree = ast.parse(code)
    path = PACKAGE / "somewhere.py"
    everything = rooms_asked(imports(path, ast.walk(tree)))
    assert everything == {"course", "cli", "model", "corpus", "trainer"}
    assert everything - rooms_asked(imports(path, at_import(tree))) == {"trainer"}
    assert rooms_asked({"llm_core"}) == {"__init__"}
