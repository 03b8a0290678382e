"""The blueprint that the pages of retention share."""

from flask import Blueprint

bp = Blueprint("retention", __name__)
