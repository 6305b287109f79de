# SPDX-License-Identifier: Apache-2.0
"""JUnit XML, as CI servers show it: one testcase a check; what is inconclusive is skipped, with its reason.

There is no standard; this keeps to the elements of Ant's report that Jenkins, GitLab and GitHub actions read.
"""

import xml.etree.ElementTree as ET

from sealpass.bench.export import GATE, Document
from sealpass.bench.export.checks import Check, checks
from sealpass.bench.gate.decision import Outcome


def render(document: Document) -> str:
    """The report."""
    found = list(checks(document))
    name = f"sealpass bench {document['kind']}" if document["schema"] == GATE else "sealpass bench run"
    counts = {
        "tests": str(len(found)),
        "failures": str(sum(check.outcome is Outcome.FAIL for check in found)),
        "errors": "0",
        "skipped": str(sum(check.outcome is Outcome.INCONCLUSIVE for check in found)),
        "time": f"{document['duration_s']:.3f}",
    }
    suites = ET.Element("testsuites", {"name": name, **counts})
    # Without the Z: Jenkins wants local time in this form, and takes UTC where the server is.
    suite = ET.SubElement(suites, "testsuite", {"name": name, "timestamp": document["started"].rstrip("Z"), **counts})
    for check in found:
        _testcase(suite, name, check)
    if document["schema"] == GATE:
        reasons = [reason for stage in document["stages"] for reason in stage["reasons"]]
        ET.SubElement(suite, "system-out").text = "\n".join(reasons)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _testcase(suite: ET.Element, name: str, check: Check) -> None:
    # No time: a check shares its measurement with others, and 0 would be a figure. The suite has the whole time.
    attributes = {"classname": f"{name}.{check.group}".replace(" ", "."), "name": check.name}
    case = ET.SubElement(suite, "testcase", attributes)
    reason = check.reason or "no reason was given"
    match check.outcome:
        case Outcome.FAIL:
            ET.SubElement(case, "failure", {"message": reason, "type": check.group}).text = reason
        case Outcome.INCONCLUSIVE:
            ET.SubElement(case, "skipped", {"message": reason})
        case Outcome.PASS if check.reason is not None:
            ET.SubElement(case, "system-out").text = reason
