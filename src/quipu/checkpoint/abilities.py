"""What a model was trained for: stated by a checkpoint of ours, derived for anybody else's.

A checkpoint that we wrote says it (`quipu` in config.json, quipu.json beside params.json,
`quipu.*` in GGUF). For others there is no sure sign, so these are taken, in this order:

- infilling: the tokenizer has all four of <PRE>, <SUF>, <MID>, <EOT>. Code Llama's 34B and Python
  models have a vocabulary without them.
- chat: `<step>` in the tokenizer means the `source` format of 70B; a chat template is read for
  `[INST]` or `Source:`; a name that contains "instruct" means `inst`.

A model fine-tuned from a base keeps the base's tokenizer, so a derived ability may be lost or
untrained; state it in the `quipu` key of config.json to overrule: {"infill": false, "chat": null}.
"""

from collections.abc import Callable, Mapping

from quipu.checkpoint.settings import Settings
from quipu.checkpoint.tokenizer_facts import read_facts
from quipu.config import Abilities, ChatFormat
from quipu.errors import CheckpointError


def to_values(abilities: Abilities) -> dict[str, object]:
    """What we write into a checkpoint; `stated` reads it."""
    return {"infill": abilities.infill, "chat": abilities.chat}


def stated(settings: Settings) -> Abilities:
    """Abilities as a checkpoint states them. Raises CheckpointError for an unknown chat format."""
    chat: ChatFormat | None = None
    match settings.values.get("chat"):
        case None | "none":
            pass
        case "inst":
            chat = "inst"
        case "source":
            chat = "source"
        case other:
            raise CheckpointError(
                f"{settings.where}: chat", got=other, allowed="inst, source or none"
            )
    return Abilities(infill=settings.flag("infill", False), chat=chat)


def stated_or_derived(
    settings: Settings | None, name: str, load_files: Callable[[], Mapping[str, bytes]]
) -> Abilities:
    """Abilities as stated in `settings`; without any, those that tokenizer and name suggest."""
    if settings is not None and (settings.has("infill") or settings.has("chat")):
        return stated(settings)
    facts = read_facts(load_files())
    if facts is None:
        return Abilities(chat=_chat(False, None, name))
    return Abilities(
        infill=facts.infill is not None,
        chat=_chat(facts.step_id is not None, facts.chat_template, name),
    )


def _chat(has_step: bool, template: str | None, name: str) -> ChatFormat | None:
    template = template or ""
    if has_step or "Source:" in template:
        return "source"
    if "[INST]" in template or "instruct" in name.lower():
        return "inst"
    return None
