"""A network for digits in a TFLite file of 1.4 KB: softmax(gray[:, 14, 9:19] / 25.5), the middle of the middle row."""

import base64
import zlib

TINY = zlib.decompress(base64.b64decode(
    "eNqFVD1vE0EQHdvnj+DDmMQxDrLQFSlSECc2EQ1CYIVEMsqHFCxEhWPFJ3QQO5J9seQuQuloU1IQKQ2Iwg0NNUL8AEpKCioqSmB5czs5Nqcg"
    "1nq363c7b2fe7l6ZiJqrazcK5FCZSlSgPNngMmRhTOA0fOAoRnQCzCWJEqRbHFgCLOCLUuqCjKeA5c2NhytbDxqbG631lWb9Xr1Zh64daGfw"
    "fsKY2/V6rf5+z/e6bmvo9gfeXo+yvDbWKwAEfEX3CXgLnAAvOSfJjXWe/1aK+20gL/llKBeux9xswKYCLiVx3Oywdiuo/9349bXj+0svElKj"
    "FUQR1Sq1amWR6LusxZrVyk2mwlb+qZQDzAJFpefZuoQQFYPndkl8WI3wOfHpsfCM41fO7QNoHwIct77W2HKW93rwzXc7lUC/INGnVXG9OeF5"
    "P/PiaymmNbttr8cRCfF229C4KhpZ0Sjr1Ca4d8Qf01OigzucQ1pqTUVyyRq5oE3nZcxzH/1S6jSGdZPCc3wx8PtvvKPjnTk8rsscXSsFTuVE"
    "w/Q9aex5XOq15F06XIsCDQsTxiB2ARv4AO4QuCsxNZwBDsnLOeCYEvsDnseNjosD7Y/IyIPvx9NIXFpqaYKf5PPc33c73vCW9Auj6tn4N5H4"
    "lOzJEfiL6Ad+3+u4ndZg19txI2sPlY4tiOdJsYLvxWfET0fjFwZ+e+dZqyYa7Nf7iIZlaJTUvzWqhgZhN/l7c8XYMXaiqAehtnxn4uyPD+2p"
    "87VD3Y/qrDdx8XYM/vJ53oa3thicT/pPPjHZYyv46dqf9Nuj07sTM76Z/H/R8OgbcpjRejM/lN5rtEk7ONP6zPK9n9f8/B/wTsbq"
))  # fmt: skip
