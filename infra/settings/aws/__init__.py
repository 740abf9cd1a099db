"""What only the aws target has."""

from infra.settings.aws.section import AwsSettings

__all__ = ["AwsSettings"]
