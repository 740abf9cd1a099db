"""The stack of an application, which gets the variables of the Valkey stack.

`environment` goes wherever your platform wants it: a container's variables, a function's, a
Kubernetes Secret. It stays encrypted in this stack's state, and changes with the other stack.
"""

import pulumi

valkey = pulumi.StackReference(pulumi.Config().require("valkeyStack"))

pulumi.export("environment", valkey.require_output("env"))
pulumi.export("endpoint", valkey.require_output("endpoint"))
