# PostgreSQL with its data in /data, for everybody who reaches it.
set -e
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
export PATH PGDATA=/data/main
user="setpriv --reuid postgres --regid postgres --clear-groups"
if [ ! -e $PGDATA/PG_VERSION ]; then
    install -d -o postgres -g postgres -m 700 $PGDATA
    $user initdb --no-sync --auth trust
    echo "host all all all trust" >>$PGDATA/pg_hba.conf
fi
exec $user postgres -c listen_addresses='*' -c unix_socket_directories=
