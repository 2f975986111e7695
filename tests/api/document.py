"""docs/openapi.json: its operations, and values held to its schemas."""
import json
import os

PATH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../docs/openapi.json")
METHODS = ("put", "get", "patch", "delete")  # a resource is made before it is asked for
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


class Document:
    def __init__(self, path=PATH):
        with open(path, encoding="utf-8") as file:
            self.root = json.load(file)

    def at(self, node):
        """What a reference stands for."""
        while "$ref" in node:
            here = self.root
            for part in node["$ref"].removeprefix("#/").split("/"):
                here = here[part]
            node = here
        return node

    def operations(self):
        for path, item in self.root["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(self, path, method, item)

    def mistakes(self, value, schema, where="body"):
        """What is wrong with a value; the keywords of schemas that the document uses."""
        schema = self.at(schema)
        if value is None and schema.get("nullable"):
            return []
        wrong = []
        for part in schema.get("allOf", []):
            wrong += self.mistakes(value, part, where)
        kind = schema.get("type")
        if kind and (not isinstance(value, TYPES[kind]) or
                     (kind == "integer" and isinstance(value, bool))):
            return wrong + [f"{where}: {value!r} is no {kind}"]
        if "enum" in schema and value not in schema["enum"]:
            wrong.append(f"{where}: {value!r} is none of {schema['enum']}")
        if kind == "integer" and not \
                schema.get("minimum", value) <= value <= schema.get("maximum", value):
            wrong.append(f"{where}: {value} is out of range")
        if kind == "array":
            for n, item in enumerate(value):
                wrong += self.mistakes(item, schema.get("items", {}), f"{where}[{n}]")
        if kind == "object":
            wrong += self.members(value, schema, where)
        return wrong

    def members(self, value, schema, where):
        known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        wrong = [f"{where}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            if name in known:
                wrong += self.mistakes(item, known[name], f"{where}.{name}")
            elif more is False:
                wrong.append(f"{where}: {name} is unknown")
            elif isinstance(more, dict):
                wrong += self.mistakes(item, more, f"{where}.{name}")
        return wrong


class Operation:
    def __init__(self, document, template, method, item):
        op = item[method]
        self.document, self.template = document, template
        self.path, self.method = template, method.upper()
        for parameter in item.get("parameters", []):
            self.path = self.path.replace("{%s}" % parameter["name"], parameter["example"])
        self.name, self.phase = op["operationId"], op["x-phase"]
        self.served = op.get("x-served", True)
        self.responses = op["responses"]
        self.schema, self.examples, self.needs_body = None, {}, False
        if "requestBody" in op:
            content = op["requestBody"]["content"]["application/json"]
            self.schema, self.examples = document.at(content["schema"]), content["examples"]
            self.needs_body = op["requestBody"]["required"]

    def success(self):
        """The status of a request that is served."""
        return next((int(s) for s in self.responses if s.startswith("2")), None)

    def response_schema(self, status):
        """None: there is no body. KeyError: it may not answer so."""
        response = self.document.at(self.responses[str(status)])
        content = response.get("content")
        return content["application/json"]["schema"] if content else None

    def example_phase(self, example):
        return example.get("x-phase", self.phase)

    def bad_bodies(self):
        """(what is wrong, a body) for bodies that the schema refuses."""
        if not self.schema or "properties" not in self.schema:
            return
        good = next(iter(self.examples.values()))["value"]
        if self.schema.get("additionalProperties") is False:
            yield "an unknown field", {**good, "no_such_field": 1}
        for name in self.schema.get("required", []):
            yield f"no {name}", {k: v for k, v in good.items() if k != name}
        for name in good:
            field = self.document.at(self.schema["properties"][name])
            wrong = {"string": 7}.get(field.get("type"), "wrong")
            yield f"{name} of another type", {**good, name: wrong}
            if "enum" in field:
                yield f"{name} that is none of its words", {**good, name: "wrong"}
            if field.get("maximum", 0) > 255:  # smaller ones are held to by what takes them
                yield f"{name} beyond its maximum", {**good, name: field["maximum"] + 1}
