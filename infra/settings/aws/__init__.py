"""Configuration of the aws target."""

from infra.settings.aws.settings import AwsSettings

__all__ = ["AwsSettings"]
