"""Schemas of resources that operators of Kubernetes add: the parts that the deployment uses, and nothing besides.

Written down from the definitions of MySQL's operator (v2), RabbitMQ's cluster operator (v1beta1) and KEDA (v1alpha1).
"""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
ANYTHING: Schema = {"type": "object"}


def number(least: int, most: int | None = None) -> Schema:
    return {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})


def closed(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def resource(spec: Schema) -> Schema:
    named = closed(("name", "namespace"), name=TEXT, namespace=TEXT, labels=ANYTHING)
    return closed(("apiVersion", "kind", "metadata", "spec"), apiVersion=TEXT, kind=TEXT, metadata=named, spec=spec)


_POLICY = closed(
    ("type", "value", "periodSeconds"),
    type={"enum": ["Pods", "Percent"]}, value=number(1), periodSeconds=number(1, 1800),
)  # fmt: skip
_RULES = closed(stabilizationWindowSeconds=number(0, 3600), policies=listed(_POLICY))
_SIZE = {"type": "string", "pattern": r"^\d+[GT]i$"}

SCHEMAS = {
    ("mysql.oracle.com/v2", "InnoDBCluster"): resource(
        closed(
            ("secretName",),
            secretName=TEXT,
            tlsUseSelfSigned={"type": "boolean"},
            instances=number(1, 9),
            router=closed(instances=number(0), podLabels=ANYTHING),
            podLabels=ANYTHING,
            datadirVolumeClaimTemplate=ANYTHING,
            mycnf=TEXT,
        )
    ),
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): resource(
        closed(
            replicas=number(1),
            persistence=closed(storage=_SIZE, storageClassName=TEXT),
            resources=closed(requests=ANYTHING, limits=ANYTHING),
            rabbitmq=closed(additionalConfig={"type": "string", "maxLength": 2000}),
            override=closed(statefulSet=ANYTHING),
        )
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): resource(
        closed(secretTargetRef=listed(closed(("parameter", "name", "key"), parameter=TEXT, name=TEXT, key=TEXT)))
    ),
    ("keda.sh/v1alpha1", "ScaledObject"): resource(
        closed(
            ("scaleTargetRef", "triggers"),
            scaleTargetRef=closed(("name",), name=TEXT),
            pollingInterval=number(1),
            cooldownPeriod=number(0),
            minReplicaCount=number(0),
            maxReplicaCount=number(1),
            advanced=closed(horizontalPodAutoscalerConfig=closed(behavior=closed(scaleUp=_RULES, scaleDown=_RULES))),
            triggers=listed(
                closed(
                    ("type", "metadata"),
                    type={"const": "mysql"},
                    metricType={"enum": ["AverageValue", "Value"]},
                    authenticationRef=closed(("name",), name=TEXT),
                    metadata=closed(
                        ("host", "port", "dbName", "username", "queryValue", "query"),
                        **dict.fromkeys(("host", "port", "dbName", "username", "queryValue", "query"), TEXT),
                    ),
                )
            ),
        )
    ),
}
