"""The site's routes: each leads to one plain view function, and "flask routes" lists it."""

import inspect

from click.testing import CliRunner
from flask.cli import FlaskGroup, ScriptInfo

from tests.server.web.conftest import House

VIEWS = (
    "dropbox_app.server.web.views.",
    "dropbox_app.server.web.desk_api",
    "dropbox_app.server.web.reporter_api",
    "dropbox_app.server.web.reporter_files",
)


def test_every_url_rule_leads_to_a_plain_view_function(house: House) -> None:
    for endpoint, view in house.app.view_functions.items():
        assert inspect.isfunction(view), endpoint
        assert view.__module__.startswith(VIEWS), endpoint
        assert view.__qualname__ == view.__name__, endpoint  # defined in the module itself
        module = view.__module__.rpartition(".")[2]
        assert endpoint.partition(".")[0] == module, endpoint


def test_flask_routes_lists_every_url(house: House) -> None:
    info = ScriptInfo(create_app=lambda: house.app)
    listed = CliRunner().invoke(FlaskGroup(), ["routes"], obj=info)
    assert listed.exit_code == 0, listed.output
    for rule in house.app.url_map.iter_rules():
        assert rule.rule in listed.output, rule
        assert f"{rule.endpoint} " in listed.output, rule
