# Notes that are kept in the database. Without the database it does not even start.
import http.server
import socket

import psycopg2


def rows(statement, *values):
    with psycopg2.connect("host=database user=postgres") as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        if self.path == "/name":
            return self.answer(socket.gethostname())
        notes = rows("SELECT note FROM notes ORDER BY id")
        self.answer("".join(note + "\n" for (note,) in notes))

    def do_POST(self):
        note = self.rfile.read(int(self.headers["Content-Length"])).decode()
        rows("INSERT INTO notes (note) VALUES (%s)", note)
        self.answer("kept\n")


rows("CREATE TABLE IF NOT EXISTS notes (id serial, note text)")
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
