"""What a checked network has to teach: mistakes that fit, and facts that one should know.

`mistakes.py` finds the warnings, at every check; `lessons.py` the notes, where they are asked for;
`allowing.py` reads the comments `# allow NAME` that silence either. All walk the lists of an analysis and
ask no layer anew.
"""
