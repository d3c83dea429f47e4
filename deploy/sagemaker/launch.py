#!/usr/bin/env python3
"""Launch a training job with parameter servers, on this machine or on SageMaker.

    python launch.py --data DIR                                   # local mode, SDK v2 or v3
    python launch.py --data DIR --estimator tensorflow            # a framework estimator, SDK v2
    python launch.py --data DIR --estimator pytorch --image parameter-server-pytorch:local \\
        --source-code DIR --entry-point train.py --hyperparameter epochs=3     # a script of your own, SDK v2 or v3
    python launch.py --data s3://bucket/digits --output s3://bucket/out --role ARN \\
        --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/parameter-server:1 \\
        --instance-type ml.m5.xlarge --spot --checkpoints s3://bucket/checkpoints

Any option of psrun is a hyperparameter of the same name: --hyperparameter lr=0.1 passes=20.
Local mode needs Docker and the image (deploy/container/build), no AWS account.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DUMMY_ROLE = "arn:aws:iam::111111111111:role/local-mode"


def metric_definitions():
    return json.loads((HERE / "metric_definitions.json").read_text())


def hyperparameters(pairs):
    values = dict(pair.split("=", 1) for pair in pairs)
    # The generic Estimator of SDK v2 silently ignores `distribution`, and SDK v3 has none: this is
    # what tells every host that it belongs to one job.
    return {"sagemaker_parameter_server_enabled": True, **values}


def distribution(args, channel):
    """What of a channel each host gets; everything but the training data is for all."""
    return "ShardedByS3Key" if args.sharded and channel == "training" else "FullyReplicated"


def location(text):
    return text if "://" in text else f"file://{Path(text).resolve()}"


def inputs(args):
    return {name: location(path) for name, path in
            [("training", args.data), ("test", args.test), ("model", args.model)] if path}


def run_v2(args):
    import boto3
    import sagemaker
    from sagemaker.inputs import TrainingInput
    from sagemaker.local import LocalSession

    common = dict(
        image_uri=args.image,
        role=args.role,
        output_path=location(args.output),
        metric_definitions=metric_definitions(),
    )
    if args.local:
        boto = boto3.Session(region_name=os.environ.get("AWS_REGION", "us-west-2"))
        session = LocalSession(boto)
        session.config = {"local": {"local_code": True, "container_root": args.container_root}}
    else:
        session = sagemaker.Session()
        if args.spot:
            common.update(use_spot_instances=True, max_run=args.max_run_s,
                          max_wait=2 * args.max_run_s)
        if args.checkpoints:
            common.update(checkpoint_s3_uri=args.checkpoints)
        if args.subnet:
            common.update(subnets=[args.subnet], security_group_ids=args.security_group)
    if args.group:
        from sagemaker.instance_group import InstanceGroup
        common.update(instance_groups=[
            InstanceGroup(name, kind, int(count)) for name, kind, count in args.group])
    else:
        common.update(instance_type=args.instance_type, instance_count=args.instances)
    common["sagemaker_session"] = session

    if args.entry_point and args.estimator == "generic":
        sys.exit("--entry-point: a generic Estimator takes no distribution=; say --estimator pytorch")
    if args.estimator == "generic":
        from sagemaker.estimator import Estimator
        estimator = Estimator(hyperparameters=hyperparameters(args.hyperparameter), **common)
    else:
        estimator = framework(args, common)
    channels = {
        name: uri if args.local else TrainingInput(uri, distribution=distribution(args, name))
        for name, uri in inputs(args).items()
    }
    estimator.fit(channels or None, wait=not args.no_wait)


def framework(args, common):
    """A framework's estimator with our image: `distribution` becomes the hyperparameter."""
    from sagemaker.mxnet import MXNet
    from sagemaker.pytorch import PyTorch
    from sagemaker.tensorflow import TensorFlow

    values = dict(pair.split("=", 1) for pair in args.hyperparameter)
    entry_point, code = args.entry_point, args.source_code
    if entry_point is None:
        # These classes want a program; with a model named, the image ignores it and says so.
        entry_point, code = "train.sh", tempfile.mkdtemp(prefix="entry-point-")
        (Path(code) / "train.sh").write_text("#!/bin/sh\nexec train\n")
        values = {"model": "mlp", **values}
    kind = {"tensorflow": TensorFlow, "mxnet": MXNet, "pytorch": PyTorch}[args.estimator]
    extra = {"model_dir": False} if kind is TensorFlow else {}
    return kind(entry_point=entry_point, source_dir=code, hyperparameters=values,
                distribution={"parameter_server": {"enabled": True}}, **extra, **common)


def run_v3(args):
    from sagemaker.core.training.configs import (
        CheckpointConfig, Compute, InputData, InstanceGroup, MetricDefinition, Networking,
        OutputDataConfig, S3DataSource, SourceCode, StoppingCondition)
    from sagemaker.train.model_trainer import Mode, ModelTrainer

    values = hyperparameters(args.hyperparameter)
    if args.entry_point:
        # The SDK's own `entry_script` would run beside us, on every host for itself: `train` starts it.
        values["entry_point"] = args.entry_point
    settings = dict(
        training_image=args.image,
        hyperparameters=values,
        base_job_name="parameter-server",
    )
    def source(name, uri):
        if args.local:
            return uri.removeprefix("file://")
        return S3DataSource(s3_data_type="S3Prefix", s3_uri=uri,
                            s3_data_distribution_type=distribution(args, name))

    channels = [InputData(channel_name=name, data_source=source(name, uri))
                for name, uri in inputs(args).items()]
    if args.source_code:
        settings["source_code"] = SourceCode(source_dir=args.source_code,
                                             command="train" if args.entry_point else args.command)
    if args.local:
        trainer = ModelTrainer(
            training_mode=Mode.LOCAL_CONTAINER, local_container_root=args.container_root,
            role=args.role,
            compute=Compute(instance_type="local_cpu", instance_count=args.instances), **settings)
    else:
        networking = Networking(subnets=[args.subnet], security_group_ids=args.security_group) \
            if args.subnet else None
        checkpoints = CheckpointConfig(s3_uri=args.checkpoints) if args.checkpoints else None
        hosts = {"instance_type": args.instance_type, "instance_count": args.instances}
        if args.group:
            hosts = {"instance_groups": [
                InstanceGroup(instance_group_name=name, instance_type=kind, instance_count=int(count))
                for name, kind, count in args.group]}
        # Managed spot training wants to know how long to wait as well.
        wait = {"max_wait_time_in_seconds": 2 * args.max_run_s} if args.spot else {}
        trainer = ModelTrainer(
            role=args.role, networking=networking, checkpoint_config=checkpoints,
            output_data_config=OutputDataConfig(s3_output_path=args.output),
            stopping_condition=StoppingCondition(max_runtime_in_seconds=args.max_run_s, **wait),
            compute=Compute(enable_managed_spot_training=args.spot, **hosts), **settings)
    trainer = trainer.with_metric_definitions(
        [MetricDefinition(name=it["Name"], regex=it["Regex"]) for it in metric_definitions()])
    trainer.train(input_data_config=channels or None, wait=not args.no_wait)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="training data: a folder or s3:// (default: bundled digits)")
    parser.add_argument("--test", help="test data, when it is not with the training data")
    parser.add_argument("--model", help="a trained model to start from: the channel `model`")
    parser.add_argument("--output", default="out", help="where model.tar.gz goes (SDK v2, and v3 on AWS)")
    parser.add_argument("--image", default="parameter-server:local")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--instance-type", default="local", help="`local`, or ml.…")
    parser.add_argument("--group", nargs=3, action="append", metavar=("NAME", "TYPE", "COUNT"),
                        help="an instance group, instead of --instances and --instance-type; with "
                             "the hyperparameters server-groups and worker-groups")
    parser.add_argument("--no-wait", action="store_true", help="do not follow the job")
    parser.add_argument("--role", default=DUMMY_ROLE, help="the job's IAM role (its ARN)")
    parser.add_argument("--estimator", default="generic",
                        choices=["generic", "tensorflow", "mxnet", "pytorch"])
    parser.add_argument("--hyperparameter", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--container-root", default=None, help="local mode's working folder")
    parser.add_argument("--source-code", help="a folder with a program of your own")
    parser.add_argument("--entry-point", metavar="FILE", help="the file in it that every worker runs")
    parser.add_argument("--command", default="./train.sh", help="SDK v3, instead of --entry-point: what the container does")
    parser.add_argument("--sharded", action="store_true",
                        help="each host gets its share of the training objects (ShardedByS3Key)")
    parser.add_argument("--spot", action="store_true", help="managed spot instances")
    parser.add_argument("--max-run-s", type=int, default=86400)
    parser.add_argument("--checkpoints", help="s3:// prefix that checkpoints are kept in step with")
    parser.add_argument("--subnet", help="one subnet for all hosts: they exchange every step")
    parser.add_argument("--security-group", nargs="*", default=[])
    args = parser.parse_args()
    args.local = args.instance_type == "local" and not args.group
    if args.local:
        # No account, no metadata service: nothing is asked that cannot answer.
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-west-2")
        if args.container_root is None:
            args.container_root = tempfile.mkdtemp(prefix="sagemaker-local-")
        args.container_root = str(Path(args.container_root).resolve())
    elif args.role == DUMMY_ROLE:
        parser.error("--role: a job on AWS needs the ARN of its role")
    return args


def main():
    args = parse()
    try:
        import sagemaker.estimator  # noqa: F401  SDK v2
        run_v2(args)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("sagemaker"):
            raise
        if args.estimator != "generic":
            sys.exit("--estimator: SDK v3 has no framework estimators; install 'sagemaker<3'")
        run_v3(args)


if __name__ == "__main__":
    main()
