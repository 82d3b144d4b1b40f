"""Manifests as Python values, with the parts that every test would repeat filled in."""
import base64
import json

NAMESPACE = "play"
GATEWAY_API = "gateway.networking.k8s.io/v1"
ENVOY_API = "gateway.envoyproxy.io/v1alpha1"


def thing(api, kind, name, spec=None, namespace=NAMESPACE, **more):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {}), **more}


def gateway_class(name="play-class", **spec):
    return thing(GATEWAY_API, "GatewayClass", name, namespace=None,
                 spec={"controllerName": "gateway.envoyproxy.io/gatewayclass-controller", **spec})


def http_listener(name="http", port=80, hostname=None, **more):
    listener = {"name": name, "port": port, "protocol": "HTTP",
                "allowedRoutes": {"namespaces": {"from": "All"}}, **more}
    return {**listener, **({"hostname": hostname} if hostname else {})}


def https_listener(name="https", port=443, hostname=None, secrets=("cert",), options=None, **more):
    tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": s} for s in secrets]}
    if options:
        tls["options"] = options
    return http_listener(name, port, hostname, protocol="HTTPS", tls=tls, **more)


def gateway(name="front", listeners=None, **spec):
    return thing(GATEWAY_API, "Gateway", name,
                 {"gatewayClassName": "play-class", "listeners": listeners or [http_listener()], **spec})


def world(*objects, listeners=None):
    """GatewayClass and Gateway `front`, then the objects."""
    return [gateway_class(), gateway(listeners=listeners), *objects]


def backend(name, *upstreams, **spec):
    """A Backend on loopback ports: Upstreams, or numbers."""
    endpoints = [{"ip": {"address": "127.0.0.1", "port": getattr(u, "port", u)}} for u in upstreams]
    return thing(ENVOY_API, "Backend", name, {"endpoints": endpoints, **spec})


def to(name, weight=None, **more):
    """A backendRef to a Backend."""
    ref = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name, **more}
    return {**ref, **({"weight": weight} if weight is not None else {})}


def path(value, kind="PathPrefix"):
    return {"path": {"type": kind, "value": value}}


def header(name, value, kind="Exact"):
    return {"type": kind, "name": name, "value": value}


def rule(*refs, matches=None, filters=None, **more):
    made = {"backendRefs": [to(ref) if isinstance(ref, str) else ref for ref in refs], **more}
    if matches is not None:
        made["matches"] = matches
    if filters is not None:
        made["filters"] = filters
    return made


def route(name, *rules, hostnames=None, section=None, parent="front", metadata=None):
    ref = {"name": parent, **({"sectionName": section} if section else {})}
    spec = {"parentRefs": [ref], "rules": list(rules)}
    if hostnames:
        spec["hostnames"] = hostnames
    return thing(GATEWAY_API, "HTTPRoute", name, spec, metadata=metadata or {})


def grpc_route(name, *rules, **more):
    return {**route(name, *rules, **more), "kind": "GRPCRoute"}


def target(kind, name, section=None):
    group = "gateway.networking.k8s.io" if kind in ("Gateway", "HTTPRoute", "GRPCRoute") else "gateway.envoyproxy.io"
    return {"group": group, "kind": kind, "name": name, **({"sectionName": section} if section else {})}


def security_policy(name, *targets, **spec):
    return thing(ENVOY_API, "SecurityPolicy", name, {"targetRefs": list(targets), **spec})


def client_policy(name, section=None, **spec):
    return thing(ENVOY_API, "ClientTrafficPolicy", name, {"targetRefs": [target("Gateway", "front", section)], **spec})


def provider(issuer, name="provider", **more):
    """A JWT provider whose keys come from the issuer's server."""
    return {"name": name, "issuer": issuer.name,
            "remoteJWKS": {"uri": f"http://127.0.0.1:{issuer.port}/.well-known/jwks.json",
                           "backendRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend",
                                            "name": "keys", "port": issuer.port}],
                           **more.pop("remoteJWKS", {})}, **more}


def local_provider(issuer, name="provider", **more):
    return {"name": name, "issuer": issuer.name,
            "localJWKS": {"type": "Inline", "inline": json.dumps(issuer.jwks())}, **more}


def secret(name, kind="Opaque", **data):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return thing("v1", "Secret", name, type=kind, data=encoded)


def tls_secret(name, pair, staple=None):
    """staple: an OCSP response, DER."""
    made = secret(name, "kubernetes.io/tls")
    made["stringData"] = {"tls.crt": pair[0], "tls.key": pair[1]}
    if staple is None:
        del made["data"]
    else:
        made["data"] = {"tls.ocsp-staple": base64.b64encode(staple).decode()}
    return made


def config_map(name, **data):
    return thing("v1", "ConfigMap", name, data=data)


def service(name, port, target_port, namespace=NAMESPACE):
    """A Service and its EndpointSlice on loopback."""
    return [thing("v1", "Service", name, {"ports": [{"name": "http", "port": port, "targetPort": target_port}]},
                  namespace=namespace),
            {**thing("discovery.k8s.io/v1", "EndpointSlice", f"{name}-1", namespace=namespace,
                     metadata={"labels": {"kubernetes.io/service-name": name}}),
             "addressType": "IPv4", "ports": [{"name": "http", "port": target_port}],
             "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]}]


# ---- AI ----

AI_API = "aigateway.envoyproxy.io/v1alpha1"


def ai_backend(name, backend_name=None, schema="OpenAI", **more):
    """An AIServiceBackend on the Backend of the same name."""
    schema = schema if isinstance(schema, dict) else {"name": schema}
    return thing(AI_API, "AIServiceBackend", name,
                 {"schema": schema, "backendRef": to(backend_name or name), **more})


def model(name):
    """A match of one model."""
    return {"headers": [header("x-ai-eg-model", name)]}


def ai_rule(*refs, matches=None, **more):
    made = {"backendRefs": [{"name": ref} if isinstance(ref, str) else ref for ref in refs], **more}
    if matches is not None:
        made["matches"] = matches
    return made


def ai_route(name, *rules, parent="front", costs=(), **spec):
    made = {"parentRefs": [{"name": parent, "kind": "Gateway", "group": "gateway.networking.k8s.io"}],
            "rules": list(rules), **spec}
    if costs:
        made["llmRequestCosts"] = [{"metadataKey": key, "type": kind} for key, kind in costs]
    return thing(AI_API, "AIGatewayRoute", name, made)


def credentials(name, kind, field, secret_name, *services):
    """A BackendSecurityPolicy: what the gateway presents to AIServiceBackends."""
    refs = [{"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": s} for s in services]
    return thing(AI_API, "BackendSecurityPolicy", name,
                 {"targetRefs": refs, "type": kind, field: {"secretRef": {"name": secret_name}}})
