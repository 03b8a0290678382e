"""pghaven at the terminal: one module for each capability, the same verbs as in the browser, the same job code.

Nothing here goes through HTTP: the commands open the data folder themselves, and may run beside the web process.
"""

from __future__ import annotations

import click

from webapp.cli import (
    accounts,
    alerts,
    audit,
    backups,
    databases,
    demo,
    destinations,
    jobs,
    log_cleanup,
    log_export,
    log_reading,
    logs,
    restores,
    retention,
    schedules,
    serve,
    tables,
    tools,
    trash,
)
from webapp.cli.program import Program
from webapp.cli.refusals import EXIT_CODES_IN_WORDS


@click.group(cls=Program, epilog=EXIT_CODES_IN_WORDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pghaven", message="%(prog)s %(version)s")
def main() -> None:
    """Take backups of PostgreSQL databases, prove them, and bring them back.

    Records and archives are in the folder BACKUP_STORAGE_PATH (./backups by default). Every command takes --json: one
    JSON document on standard output and nothing else there. Progress and messages go to standard error.
    """


main.add_command(serve.serve)
main.add_command(databases.databases)
main.add_command(backups.backups)
main.add_command(retention.retention)
main.add_command(destinations.destinations)
main.add_command(trash.trash)
main.add_command(restores.restores)
main.add_command(schedules.schedules)
main.add_command(jobs.jobs)
main.add_command(logs.logs)
main.add_command(tables.tables)
main.add_command(accounts.accounts)
main.add_command(alerts.alerts)
main.add_command(audit.audit)
main.add_command(demo.demo)
main.add_command(tools.tools)
backups.backups.add_command(retention.pin)
backups.backups.add_command(retention.unpin)
backups.backups.add_command(destinations.copy)
backups.backups.add_command(destinations.fetch)
logs.logs.add_command(log_export.export)
logs.logs.add_command(log_reading.session)
logs.logs.add_command(log_reading.probe_lines)
logs.logs.add_command(log_cleanup.cleanup)
logs.logs.add_command(log_cleanup.log_retention)
logs.logs.add_command(log_cleanup.archives)
logs.logs.add_command(log_cleanup.put_back)
