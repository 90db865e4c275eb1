"""The journal: one run, one file, one chain of frames.

``store`` names what a journal offers, ``memory`` and ``sqlite`` keep one, ``check`` proves one undamaged and
``signing`` vouches for its head.
"""
