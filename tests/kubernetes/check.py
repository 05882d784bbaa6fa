"""What tests/kubernetes/check checks, once its tools are installed."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

WORKSPACE, TOOLS, PROGRAM = map(Path, sys.argv[1:])
DIST = WORKSPACE / "dist"
CHART = DIST / "helm/wasi-httpd"
HERE = WORKSPACE / "tests/kubernetes"

# The version whose schemas count: the first one with image volumes by default.
KUBERNETES = "1.35"

# Cases that the chart and the kustomize base both have, and have to render to the same.
CASES = ["image", "config-map", "claim"]

# Values that the chart refuses, and a part of what it says of them.
REFUSED = {
    "": "set exactly one of content.image, content.configMap and content.claim",
    "content.image=a,content.claim=b": "set exactly one of content.image",
    "content.image=a,ingress.enabled=true": "set ingress.host",
    "content.image=a,route.enabled=true": "set route.parentRefs",
    "content.image=a,content.clam=b": "clam",
    "content.image=a,content.path=/b": "/content/path",
    "content.image=a,grace=400": "/grace",
}

# The validator of HTTPRoute knows no unknown fields, so these are the ones that there are.
ROUTE_FIELDS = {"parentRefs", "hostnames", "rules"}
ROUTE = """
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { readFileSync } from 'node:fs';
try {
  new HTTPRoute(JSON.parse(readFileSync(0, 'utf8'))).validate();
} catch (error) {
  console.log(error.message);
  process.exit(1);
}
"""

# The user of the container.
USER = 65532


def fail(message):
    sys.exit(f"tests/kubernetes/check: {message}")


def run(*command, **options):
    """The standard output of a program, which has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def helm(*arguments):
    return [TOOLS / "helm/helm", *arguments]


def chart(values):
    run(*helm("lint", "--strict", "--quiet", CHART, "--values", values))
    return documents(run(*helm("template", "wasi-httpd", CHART, "--values", values)))


def kustomization(directory):
    return documents(run(TOOLS / "kubectl/kubectl", "kustomize", directory))


def validate(what, document):
    """Compares a manifest with the schema of its kind, where unknown fields are errors."""
    what = f"{what}: {document['kind']} {document['metadata']['name']}"
    if document["kind"] == "HTTPRoute":
        unknown = set(document["spec"]) - ROUTE_FIELDS
        command = ["node", "--input-type=module", "--eval", ROUTE]
        done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, cwd=TOOLS / "gateway")
        if unknown or done.returncode != 0:
            fail(f"{what} is not valid: {unknown or (done.stdout + done.stderr).strip()}")
        return
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        fail(f"{what} is not valid: at {'/'.join(map(str, error.path))}: {error.message}")


def deployment(manifests):
    return next(manifest for manifest in manifests if manifest["kind"] == "Deployment")


def plain(document):
    """A manifest without what the chart and the base name in their own ways: labels, and hashes in names."""
    if isinstance(document, dict):
        labels = ("labels", "matchLabels", "selector", "podSelector")
        return {key: plain(value) for key, value in document.items() if key not in labels}
    if isinstance(document, list):
        return [plain(item) for item in document]
    if isinstance(document, str):
        return re.sub(r"^(wasi-httpd-content)-[0-9a-z]{10}$", r"\1", document)
    return document


def by_kind(manifests):
    """The manifests by their kinds. Volumes have no order."""
    kinds = {manifest["kind"]: plain(manifest) for manifest in manifests if manifest["kind"] != "ConfigMap"}
    template = kinds["Deployment"]["spec"]["template"]
    template.pop("metadata", None)
    template["spec"]["volumes"].sort(key=lambda volume: volume["name"])
    return kinds


def first_difference(one, other, place="", names=("the chart", "the base")):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                return first_difference(one.get(key), other.get(key), f"{place}/{key}", names)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (a, b) in enumerate(zip(one, other)):
            if a != b:
                return first_difference(a, b, f"{place}/{at}", names)
    return f"at {place}, {names[0]} has {json.dumps(one)}, and {names[1]} {json.dumps(other)}"


def selectors(what, manifests):
    """What selects pods selects those of the Deployment."""
    labels = deployment(manifests)["spec"]["template"]["metadata"]["labels"]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        found = [spec.get("podSelector"), spec.get("selector")]
        if manifest["kind"] == "Deployment":
            found += [spread["labelSelector"] for spread in spec["template"]["spec"]["topologySpreadConstraints"]]
        for selector in filter(None, found):
            selector = selector.get("matchLabels", selector)
            if not selector.items() <= labels.items():
                fail(f"{what}: {manifest['kind']} selects {selector}, and pods have {labels}")


def walls(what, pod):
    """A pod may do nothing that the server does not need."""
    user, container = pod["securityContext"], pod["containers"][0]["securityContext"]
    expected = {
        "user": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "container": {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "token": False,
    }
    found = {"user": user, "container": container, "token": pod["automountServiceAccountToken"]}
    if found != expected:
        fail(f"{what}: {first_difference(found, expected, names=('the pod', 'what is needed'))}")


def version(image):
    """The image of the server is that of this version."""
    manifest = (WORKSPACE / "Cargo.toml").read_text()
    current = re.search(r'(?m)^version = "(.*)"', manifest)[1]
    if image != f"wasi-httpd:{current}":
        fail(f"the version is {current}, and the image {image}: change appVersion in Chart.yaml, and the base")


def option(args, name):
    return next(int(arg.removeprefix(f"--{name}=")) for arg in args if arg.startswith(f"--{name}="))


def times(what, pod):
    """A pod leaves the Service before it stops to serve, and is not killed before it has drained."""
    container = pod["containers"][0]
    grace, drain = option(container["args"], "grace"), option(container["args"], "drain-timeout")
    readiness = container["readinessProbe"]
    notice = readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
    if pod["terminationGracePeriodSeconds"] <= grace + drain:
        fail(f"{what}: terminationGracePeriodSeconds is not longer than --grace and --drain-timeout together")
    if grace <= notice:
        fail(f"{what}: --grace is too short for a readiness probe that takes up to {notice} s")


def serve(what, pod, program):
    """Has wasi-httpd check its arguments, then serves with them and asks what the probes ask."""
    container = pod["containers"][0]
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        mounted = {}
        for mount in container["volumeMounts"]:
            mounted[mount["mountPath"]] = os.path.join(place, mount["name"])
            os.mkdir(mounted[mount["mountPath"]])
        local = lambda text: re.sub(r"(?<==)(/[a-z]+)", lambda match: mounted.get(match[1], match[1]), text)
        args = [local(arg) for arg in container["args"]]
        served = Path(next(arg.removeprefix("--dir=") for arg in args if arg.startswith("--dir=")))
        served.mkdir(parents=True, exist_ok=True)
        (served / "index.html").write_text("hello")
        environment = {entry["name"]: local("=" + entry["value"])[1:] for entry in container["env"]}
        os.chmod(environment["XDG_CACHE_HOME"], 0o777)
        user = pod["securityContext"]["runAsUser"]
        identity = {"user": user, "group": user, "extra_groups": []} if os.geteuid() == 0 else {}
        options = {"env": environment, "cwd": "/", **identity}
        run(program, "check", *args, **options)

        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for flag, name in (("addr", "http"), ("admin", "admin")):
            if not any(arg.startswith(f"--{flag}=") and arg.endswith(f":{ports[name]}") for arg in args):
                fail(f"{what}: the port {name} is not that of --{flag}")
        args = [re.sub(r"^--(addr|admin)=.*", r"--\1=127.0.0.1:0", arg) for arg in args]
        args = [re.sub(r"^--grace=.*", "--grace=0", arg) for arg in args]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        server = subprocess.Popen([program, *args], text=True, **pipes, **options)
        try:
            lines, found = [], {}
            while len(found) < 2:
                lines.append(server.stderr.readline())
                if not lines[-1]:
                    fail(f"{what}: wasi-httpd does not serve: {''.join(lines)}")
                if match := re.match(r"(Listening|Admin) on http://127.0.0.1:(\d+)/", lines[-1]):
                    found["http" if match[1] == "Listening" else "admin"] = int(match[2])
            asked = [(name, container[name]["httpGet"]) for name in ("startupProbe", "readinessProbe", "livenessProbe")]
            for name, probe in [*asked, ("the site", {"port": "http", "path": "/"})]:
                connection = http.client.HTTPConnection("127.0.0.1", found[probe["port"]], timeout=60)
                connection.request("GET", probe["path"])
                if (status := connection.getresponse().status) != 200:
                    fail(f"{what}: {name} gets a {status}")
            server.send_signal(signal.SIGTERM)
            rest = server.communicate(timeout=60)[0:2][1]
            said = "".join(lines) + rest
            if server.returncode != 0 or "warning" in said or "Locked down: " not in said:
                fail(f"{what}: wasi-httpd ends with {server.returncode}: {said}")
        finally:
            server.kill()
            server.wait()


def main():
    rendered = {f"chart with {case}": chart(HERE / case / "values.yaml") for case in CASES}
    rendered |= {f"base with {case}": kustomization(HERE / case) for case in CASES}
    rendered["chart with everything"] = chart(HERE / "everything.yaml")
    rendered["example"] = kustomization(DIST / "kubernetes/example")

    for values, expected in REFUSED.items():
        done = subprocess.run(helm("template", CHART, "--set", values), capture_output=True, text=True)
        if done.returncode == 0 or expected not in done.stderr:
            fail(f"the chart does not refuse the values `{values}`: {done.stderr}")

    for case in CASES:
        one, other = by_kind(rendered[f"chart with {case}"]), by_kind(rendered[f"base with {case}"])
        if one != other:
            fail(f"the chart and the base differ with {case}: {first_difference(one, other)}")

    version(deployment(rendered["chart with image"])["spec"]["template"]["spec"]["containers"][0]["image"])
    with tempfile.TemporaryDirectory() as place:
        # Where the user of the container may run it.
        os.chmod(place, 0o755)
        program = shutil.copy(PROGRAM, place)
        for what, manifests in rendered.items():
            for manifest in manifests:
                validate(what, manifest)
            selectors(what, manifests)
            pod = deployment(manifests)["spec"]["template"]["spec"]
            walls(what, pod)
            # The base has the same pods as the chart.
            if not what.startswith("base"):
                serve(what, pod, program)
            times(what, pod)
    print(f"{sum(map(len, rendered.values()))} manifests are valid for Kubernetes {KUBERNETES}, and fit wasi-httpd.")


main()
