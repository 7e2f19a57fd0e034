"""A script that makes a shell complete choices and settings: ``eval "$(python -m crossreid.completion)"``."""

from __future__ import annotations

import sys

from crossreid.console import show_page, stop
from crossreid.help.texts import TEXTS
from crossreid.help.words import words_of

SHELLS = ("bash", "zsh")
USAGE = """python -m crossreid.completion: TAB completes commands, choices and settings

Usage: eval "$(python -m crossreid.completion)"          in ~/.bashrc
       eval "$(python -m crossreid.completion zsh)"      in ~/.zshrc

The words stand in the script that is printed, so that a press of TAB starts no Python."""

SCRIPT = r"""# Completion for crossreid: eval "$(python -m crossreid.completion)"
_crossreid_words() {
  case "$1" in
@CASES@
  esac
}
_crossreid() {
  COMPREPLY=()
  local line="${COMP_LINE:0:COMP_POINT}" command="" before="" word
  for word in $line; do
    case "$word" in
      crossreid.*) if [[ "$before" == -m ]]; then command="${word#crossreid.}"; fi ;;
      crossreid-*) command="${word#crossreid-}"; command="${command//-/_}" ;;
    esac
    before="$word"
  done
  local current="${line##*[[:space:]]}" known
  if [[ "$current" == crossreid.* ]]; then
    known="@MODULES@"
  elif [[ -n "$command" ]]; then
    known="$(_crossreid_words "$command")"
  else
    return 0
  fi
  # of a list, such as seed=0,1 or experiment=lba/full,lba/ic, the entry after the last comma is completed
  local typed="" group=""
  if [[ "$current" == *=*,* ]]; then
    group="${current%%=*}="
    typed="${current%,*},"
    current="$group${current##*,}"
  fi
  local replaced="${typed:-$current}"
  replaced="${replaced%"${replaced##*[=:]}"}"  # the shell replaces what comes after the last = only
  for word in $known; do
    if [[ "$word" == "$current"* ]]; then
      if [[ -n "$typed" ]]; then word="$typed${word#"$group"}"; fi
      COMPREPLY+=("${word#"$replaced"}")
    fi
  done
  if [[ "${#COMPREPLY[@]}" -eq 1 && "${COMPREPLY[0]}" == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _crossreid python python3 @SCRIPTS@
"""
"""The shell's function, without the words."""


def script(shell: str) -> str:
    """The whole script for a shell."""
    cases = []
    modules = []
    scripts = []
    for command in TEXTS:
        words = " ".join(words_of(command))
        cases.append(f"    {command}) echo '{words}' ;;")
        modules.append(f"crossreid.{command}")
        scripts.append(f"crossreid-{command.replace('_', '-')}")
    text = SCRIPT.replace("@CASES@", "\n".join(cases))
    text = text.replace("@MODULES@", " ".join(modules))
    text = text.replace("@SCRIPTS@", " ".join(scripts))
    if shell == "zsh":  # which completes as bash does, once it is told to
        return f"autoload -U +X bashcompinit && bashcompinit\n{text}"
    return text


def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        show_page(USAGE)
        return
    shell = "bash"
    if arguments:
        shell = arguments[0]
    if shell not in SHELLS or len(arguments) > 1:
        stop(f"There are words for {' and '.join(SHELLS)}: python -m crossreid.completion zsh.")
    show_page(script(shell))


if __name__ == "__main__":
    main()
