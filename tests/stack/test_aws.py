"""The environment dev, applied to an emulated AWS: is there what the guide promises, and is everything gone in the end?

Application Auto Scaling is not emulated: modules/service/scaling.tf is left out here and tested with mocks alone.
"""

import json
import re

import pytest
from botocore.exceptions import ClientError

from ml.settings import read
from tests.stack.cloud_kit import copy_of_the_code, terraform
from tests.stack.emulator import ACCOUNT, REGION, emulated

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

BUCKET = f"evergreen-dev-{ACCOUNT}"
VALUES = ("-var-file=envs/dev/terraform.tfvars", "-var-file=test.tfvars")
PROBLEMS = ("flights", "complaints")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with emulated(tmp_path_factory.mktemp("cloud")) as one:
        yield one


@pytest.fixture(scope="module")
def applied(cloud, tmp_path_factory):
    """The code after `terraform apply`, and what others own made before: certificate, replica."""
    code = copy_of_the_code(tmp_path_factory.mktemp("code"), cloud.override)
    (code / "modules" / "service" / "scaling.tf").unlink()
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="replica", Description="of others", VpcId=vpc)["GroupId"]
    certificate = cloud.client("acm").request_certificate(DomainName="*.dev.evergreen.example.com")["CertificateArn"]
    secret = cloud.client("secretsmanager").create_secret(Name="replica", SecretString="postgresql://reader@replica/production")[
        "ARN"
    ]
    (code / "test.tfvars").write_text(
        f'certificate_arn = "{certificate}"\nsource_database = {{ secret_arn = "{secret}", security_group_id = "{group}" }}\n'
        'problems = ["flights", "complaints"]\n'
    )
    terraform(code, "apply", "-no-color", "-auto-approve", "-input=false", *VALUES, environment=cloud.environment)
    return code


@pytest.fixture(scope="module")
def role(cloud, applied):
    """An S3 client with exactly the policies of a role. The roles themselves only AWS's services can take on."""
    iam, sts, bucket = cloud.client("iam"), cloud.client("sts"), cloud.client("s3")
    for name in ("store/flights/tables/raw/1", "store/flights/runs/a/1", "store/secret/tables/raw/1", "mlflow/1/model"):
        bucket.put_object(Bucket=BUCKET, Key=name, Body=b"content")
    anybody = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}

    def client(name):
        twin = f"test-{name}"
        if twin not in [one["RoleName"] for one in iam.list_roles()["Roles"]]:
            arn = iam.create_role(RoleName=twin, AssumeRolePolicyDocument=json.dumps(anybody))["Role"]["Arn"]
            for policy in iam.list_role_policies(RoleName=f"evergreen-dev-{name}")["PolicyNames"]:
                document = iam.get_role_policy(RoleName=f"evergreen-dev-{name}", PolicyName=policy)["PolicyDocument"]
                iam.put_role_policy(RoleName=twin, PolicyName=policy, PolicyDocument=json.dumps(document))
        arn = f"arn:aws:iam::{ACCOUNT}:role/{twin}"
        keys = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        names = {
            "aws_access_key_id": "AccessKeyId",
            "aws_secret_access_key": "SecretAccessKey",
            "aws_session_token": "SessionToken",
        }
        return cloud.client("s3", **{ours: keys[theirs] for ours, theirs in names.items()})

    yield client
    for one in iam.list_roles()["Roles"]:
        if one["RoleName"].startswith("test-"):
            for policy in iam.list_role_policies(RoleName=one["RoleName"])["PolicyNames"]:
                iam.delete_role_policy(RoleName=one["RoleName"], PolicyName=policy)
            iam.delete_role(RoleName=one["RoleName"])


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def test_bucket_cannot_be_made_public(cloud, applied):
    s3 = cloud.client("s3")
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    assert refused(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy) == "AccessDenied"
    s3.put_object(Bucket=BUCKET, Key="store/flights/x", Body=b"")
    assert refused(s3.put_object_acl, Bucket=BUCKET, Key="store/flights/x", ACL="public-read") == "AccessDenied"
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}


def test_what_is_overwritten_can_be_brought_back_and_is_encrypted_with_our_key(cloud, applied):
    s3 = cloud.client("s3")
    for content in (b"first", b"second"):
        s3.put_object(Bucket=BUCKET, Key="store/flights/twice", Body=content)
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="store/flights/twice")["Versions"]
    assert len(versions) == 2
    rule = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0][
        "ApplyServerSideEncryptionByDefault"
    ]
    key = cloud.client("kms").describe_key(KeyId="alias/evergreen-dev")["KeyMetadata"]["Arn"]
    assert (rule["SSEAlgorithm"], rule["KMSMasterKeyID"]) == ("aws:kms", key)
    assert cloud.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]


@pytest.mark.parametrize("name", ["worker-light", "worker-training", "api-server", "serving", "mlflow", "scheduler"])
def test_no_role_reads_or_lists_what_is_not_its_own(role, name):
    """`secret` stands for a problem of somebody else in the same bucket."""
    s3 = role(name)
    assert refused(s3.get_object, Bucket=BUCKET, Key="store/secret/tables/raw/1") == "AccessDenied"
    assert refused(s3.put_object, Bucket=BUCKET, Key="store/secret/tables/raw/1", Body=b"") == "AccessDenied"
    assert refused(s3.list_objects_v2, Bucket=BUCKET, Prefix="store/secret/") == "AccessDenied"
    assert refused(s3.list_objects_v2, Bucket=BUCKET) == "AccessDenied"


@pytest.mark.parametrize(
    ("name", "reads", "changes_tables", "changes_runs", "notes"),
    [
        ("worker-light", True, True, True, True),
        ("worker-training", True, False, True, True),
        ("serving", True, False, False, True),
        ("api-server", True, False, False, False),
        ("scheduler", False, False, False, False),
        ("mlflow", False, False, False, False),
    ],
)
def test_a_role_can_do_its_work_and_no_more(role, name, reads, changes_tables, changes_runs, notes):
    s3 = role(name)

    def can(call, **arguments):
        try:
            call(Bucket=BUCKET, **arguments)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied"
            return False
        return True

    assert can(s3.get_object, Key="store/flights/tables/raw/1") == reads
    assert can(s3.list_objects_v2, Prefix="store/flights/runs/") == reads
    assert can(s3.put_object, Key="store/flights/tables/raw/2", Body=b"") == changes_tables
    assert can(s3.delete_object, Key="store/flights/tables/raw/2") == changes_tables
    assert can(s3.put_object, Key="store/flights/runs/a/2", Body=b"") == changes_runs
    assert can(s3.put_object, Key="store/flights/serving.json", Body=b"") == notes
    assert can(s3.get_object, Key="mlflow/1/model") == (name == "mlflow")


def test_only_services_of_aws_take_the_roles_on(cloud, applied):
    arn = f"arn:aws:iam::{ACCOUNT}:role/evergreen-dev-worker-light"
    assert refused(cloud.client("sts").assume_role, RoleArn=arn, RoleSessionName="test") == "AccessDenied"


def test_databases_are_closed_to_all_but_named_groups(cloud, applied):
    found = {one["DBInstanceIdentifier"]: one for one in cloud.client("rds").describe_db_instances()["DBInstances"]}
    assert set(found) == {f"evergreen-dev-{name}" for name in ("evergreen", "mlflow", "airflow")}
    assert not any(one["PubliclyAccessible"] for one in found.values())
    assert all(one["StorageEncrypted"] for one in found.values())
    groups = [group["VpcSecurityGroupId"] for one in found.values() for group in one["VpcSecurityGroups"]]
    assert len(groups) == 3
    for group in cloud.client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]:
        for rule in group["IpPermissions"]:
            assert (rule["FromPort"], rule["ToPort"], rule.get("IpRanges", [])) == (5432, 5432, [])


def test_only_pools_that_read_production_are_let_in_by_the_replica(cloud, applied):
    ec2 = cloud.client("ec2")
    names = {one["GroupId"]: one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]}
    (replica,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["replica"]}])["SecurityGroups"]
    asked = [names[pair["GroupId"]] for rule in replica["IpPermissions"] for pair in rule["UserIdGroupPairs"]]
    assert asked == ["evergreen-dev-worker-light"]


def test_nothing_of_ours_can_be_reached_from_everywhere(cloud, applied):
    ours = cloud.client("ec2").describe_security_groups(Filters=[{"Name": "tag:project", "Values": ["evergreen"]}])[
        "SecurityGroups"
    ]
    assert len(ours) > 10
    open_to = [span["CidrIp"] for group in ours for rule in group["IpPermissions"] for span in rule.get("IpRanges", [])]
    assert set(open_to) <= {"10.20.0.0/16", "10.0.0.0/16"}
    (balancer,) = cloud.client("elbv2").describe_load_balancers(Names=["evergreen-dev"])["LoadBalancers"]
    assert balancer["Scheme"] == "internal"
    gateways = cloud.client("ec2").describe_nat_gateways()["NatGateways"]
    assert gateways == []


def test_no_secret_is_in_the_state(cloud, applied):
    secrets = cloud.client("secretsmanager")
    values = {
        one["Name"]: secrets.get_secret_value(SecretId=one["ARN"])["SecretString"] for one in secrets.list_secrets()["SecretList"]
    }
    assert len(values) > 10
    state = (applied / "terraform.tfstate").read_text()
    assert [name for name, value in values.items() if value in state] == []
    assert values["evergreen-dev-evergreen/url"].split(":")[2].startswith(values["evergreen-dev/evergreen-password"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}=", values["evergreen-dev/airflow-fernet"])


def test_containers_get_settings_that_our_programs_know(cloud, applied):
    """Every EVERGREEN_* name of a task definition goes through the programs' own reader, which refuses unknown ones."""
    ecs, read_source = cloud.client("ecs"), set()
    for arn in ecs.list_task_definitions()["taskDefinitionArns"]:
        definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        main = next(one for one in definition["containerDefinitions"] if one["name"] == "main")
        names = {one["name"]: one["value"] for one in main["environment"]} | {one["name"]: "secret" for one in main["secrets"]}
        read(names)
        assert not [one for one in main["environment"] if re.search("PASSWORD|TOKEN|SECRET|KEY", one["name"])]
        if "EVERGREEN_SOURCE_URL" in names:
            read_source.add(definition["family"])
    assert read_source == {"evergreen-dev-worker-light"}


def test_images_cannot_be_moved_and_alarms_are_heard(cloud, applied):
    repositories = cloud.client("ecr").describe_repositories()["repositories"]
    assert {one["imageTagMutability"] for one in repositories} == {"IMMUTABLE"}
    alarms = cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix="evergreen-dev-")["MetricAlarms"]
    assert {f"evergreen-dev-night-{problem}" for problem in PROBLEMS} <= {one["AlarmName"] for one in alarms}
    assert all(one["AlarmActions"] for one in alarms)


def test_destroy_leaves_nothing(cloud, applied):
    s3 = cloud.client("s3")
    terraform(applied, "destroy", "-no-color", "-auto-approve", "-input=false", *VALUES, environment=cloud.environment)
    assert terraform(applied, "state", "list") == ""
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == []
    assert [one["Name"] for one in cloud.client("secretsmanager").list_secrets()["SecretList"]] == ["replica"]
    assert [
        one["RoleName"] for one in cloud.client("iam").list_roles()["Roles"] if one["RoleName"].startswith("evergreen-")
    ] == []
    assert cloud.client("rds").describe_db_instances()["DBInstances"] == []
    assert cloud.client("elasticache").describe_replication_groups()["ReplicationGroups"] == []
    assert [one["logGroupName"] for one in cloud.client("logs").describe_log_groups()["logGroups"]] == []
    tagged = cloud.client("ec2").describe_vpcs(Filters=[{"Name": "tag:project", "Values": ["evergreen"]}])
    assert tagged["Vpcs"] == [], REGION
