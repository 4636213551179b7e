# Asks the application for its notes, and ends with 5 more than there are.
import sys
import urllib.request

notes = urllib.request.urlopen("http://gateway/").read().decode().splitlines()
print("the notes are", notes)
sys.exit(5 + len(notes))
