"""The blueprint that the pages of alerts share."""

from flask import Blueprint

bp = Blueprint("alerts", __name__)
