"""A table's life with SDK v2 in local mode: fit, deploy, predict, delete, transform. Prints what came as JSON."""

import argparse
import json
import os
from pathlib import Path

import boto3
from sagemaker.deserializers import JSONDeserializer, StringDeserializer
from sagemaker.estimator import Estimator
from sagemaker.local import LocalSession
from sagemaker.serializers import CSVSerializer, JSONSerializer

parser = argparse.ArgumentParser()
parser.add_argument("--image", required=True)
parser.add_argument("--data", required=True, type=Path)
parser.add_argument("--folder", required=True, type=Path)
args = parser.parse_args()

session = LocalSession(boto3.Session(region_name=os.environ["AWS_REGION"]))
root = args.folder / "containers"
root.mkdir(parents=True)
session.config = {"local": {"local_code": True, "container_root": str(root), "serving_port": 8080}}
estimator = Estimator(
    image_uri=args.image,
    role="arn:aws:iam::111111111111:role/local-mode",
    instance_count=2,
    instance_type="local",
    output_path=f"file://{args.folder / 'out'}",
    hyperparameters={"sagemaker_parameter_server_enabled": True, "passes": 30, "ignore": "id"},
    sagemaker_session=session,
)
estimator.fit({"training": f"file://{args.data / 'train'}", "test": f"file://{args.data / 'test'}"})

rows = (args.data / "test" / "test.csv").read_text().splitlines()
unlabelled = [line.rsplit(",", 1)[0] for line in rows]
predictor = estimator.deploy(
    1, "local", serializer=CSVSerializer(), deserializer=StringDeserializer(accept="text/csv"))
answers = predictor.predict("\n".join(unlabelled))
predictor.serializer, predictor.deserializer = JSONSerializer(), JSONDeserializer()
names, first = unlabelled[0].split(","), unlabelled[1].split(",")
document = predictor.predict({"instances": [dict(zip(names, first))]})
predictor.delete_endpoint()

transformer = estimator.transformer(
    1, "local", output_path=f"file://{args.folder / 'transformed'}", accept="text/csv",
    strategy="MultiRecord", assemble_with="Line")
# Local mode transforms before it returns. As batch transform sends them: lines by themselves, without a header.
lines = args.folder / "lines"
lines.mkdir()
(lines / "new.csv").write_text("\n".join(unlabelled[1:]) + "\n")
transformer.transform(f"file://{lines}", content_type="text/csv", split_type="Line", wait=False)
transformed = (args.folder / "transformed" / "new.csv.out").read_text()

print("RESULT " + json.dumps({
    "answers": answers.splitlines(), "document": document, "transformed": transformed.splitlines()}))
