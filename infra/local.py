"""Previous class paths of the dynamic providers.

The states of stacks from before the first release contain them, and those of passwords keep them.
"""

from __future__ import annotations

import sys
from types import ModuleType

from infra.providers import cleanup, credentials, docker, processes

PREVIOUS_MODULES: dict[str, tuple[ModuleType, ...]] = {
    "infra.local.providers": (credentials, processes),
    "infra.local.docker": (),
    "infra.local.docker.providers": (credentials, docker),
    "infra.local.docker.cleanup": (cleanup,),
}

for _name, _modules in PREVIOUS_MODULES.items():
    sys.modules[_name] = _previous = ModuleType(_name)
    for _module in _modules:
        vars(_previous).update({name: value for name, value in vars(_module).items() if name.endswith("Provider")})
