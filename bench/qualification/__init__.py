# SPDX-License-Identifier: Apache-2.0
"""Whether a key on a device is fit for unwrapping passwords under a profile of the contract."""

from sealpass.bench.qualification.measurement import Plan
from sealpass.bench.qualification.qualification import Options, Progress, Step, qualify
from sealpass.bench.qualification.verdict import Verdict, overall

__all__ = ["Options", "Plan", "Progress", "Step", "Verdict", "overall", "qualify"]
