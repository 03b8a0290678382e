"""The blueprint that the parts of the System page share."""

from flask import Blueprint

bp = Blueprint("system", __name__)
