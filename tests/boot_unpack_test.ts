import { assert, assertEquals, assertThrows } from "@std/assert";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ImageReader } from "../core/boot/bytes.ts";
import { compressionOf, unpack } from "../core/boot/unpack.ts";
import { GuestError } from "../core/config.ts";
import { seededRandom } from "./boot_images.ts";

/** `code(4000)` packed by `xz --x86 --lzma2=preset=9e --check=crc32 -c`. */
const X86_XZ = decode(`
/Td6WFoAAAFpIt42AgEEACEBHACHbtrl4A+fBx5dAGS/Qg6AAfkwSA2CJZYKYLsBa/KYiQA/cfPwsk6Tx+4mCW/dlld7fnfvJ0oiQ79Ygm
O4qcvIwfmBHIeBrmTUdJ4xAqnsyGebsQ324GlQd3vqmbJzAYOlzEJKiV3iFBagfMfcCRMqv5XLcuUC2YOhThRpmaW5nIcB+rjBXOYV41/G
WXGyXmGvUiXtUE/zI1roOS9CCcMuBfzFpV4/24HnFt8lFJ1mwWZWPdqzHOfG2GkkRteU5bgk8MF2HGWZVxmlu7qifuZWpoQvGhwYRiUrzM
jcbXhQ8Jn86vHLBFgIQFkxaq0JsXyMH2tlcBArJhKOKMlAkXUe7AXrrosF7R1IM9hodHqy+59ZVlN0Y0iI23CwDKPNll2wKP7byu/jJa8C
iXXjTxIJIaElKTIIN5d8FIi3vtTb2MazKsLF97QPTag3DEvkK+DM7Nb6F/MaY5kb1jW/jmIS3vNFYhFSfO/yDPkA+iR4coIpEqF3NPP99U
DZNXxrQH5nn4ASj9PATpd5nx60/M+AGYADQAHp7+Fw6yH3T7I9uvViR2sQ1FPVgJDz3g6HFQPyQzYJ/TG6hiXgF+dv/JTcZsvjsd+7xsad
7XqvEHdqHfuEOvs2X/y20yjTI4ctAWn0ucr9UkazvEfk8h7+2obgUNTwUYskl8+o9VDBfbyE09EuDfP4XSl4jzo8DukDO6bAhqGCAX4RNa
068827wGiw+U+YEKzUKBHsLwhcCB++/i4yIqs+FUdQEEP2NhesMPnjHk3Jwkfaq1+NeIt9GVSIBEfNltC9EOovsxQTZ4Un65kHox0QbHTz
5DfLNKA0qV1/Fz7H9+Ji5d62IUsprSXvG7occHOk3JBOcnARpZC52W4yiV4Ugsd6vlJQqcEG/zHH0dzitI3zKdL3U/9LYC21ZaXzgccRFa
nsfitwljOEl2SHeMMwtueS/PzlNyO31OlmyKKTAA0ewpSkT3Ny5O+fLMM+mH+H+bzFC5/Ii/Ym+4kNMFRCQ9vS4Z20Lc4cRJJVQZQGxa4s
lNhXEH1pXveeoQhL8kZtySdSlcX/bOwyML9LH3SweCFT9QOPhHmuM6oKXdWCo+746WzdaDH50809ZOj19IKxnwKmpySBnroD8QtgyBqwDp
YPMyNPs14j/itTPFoGGMrbu888uPnoAKNmjkRgjn/dIfp/O9JnIq5Vpul2GVXdiVJigY3lC+KYYoXOI78peXzKmzHjnZG8ppX9olRGK7Gb
H8yec4BetCTigmONlpO37lliwUjQ5jreQH5wlGJRZjk84tjpfMXGBN3XknmJHaC/+VDx7ugokPUrj7MGfIUhzdSTjifd0y7m5AtMwYEO7J
sO9RPYp7Pp69NvQKu2HylE51WaRFpViG30EoyTbwwbqkTJqwibFEYnvDdGvChdYjpnAXvGpxnIFkdNzoFq6jj7OMTs5Qpx5tln9LRvcpzz
fcp2wqPAeRnrSrLiIo7wBp5zZMEN7P5KSIG+BmMiw+H3mEzHun7Vk2cUGHPA+WBxKSgSt3qapTx75+Z3mwPJp93lsrwYHUiqfWMTXPduZp
NXlRZYGIheAWGNQX+OiJgoePQ7GG1PJ7vPV9uNXVYgqshxLq4r8tQTo0F2KbRO2Cp/dj/yHo++7l2cvmauN8jp/8cqXkiLa0S1V0QR4M4G
jcQIrLAMm15ozg4aRFyxe/vu1dg/HQJt+lE3XYPBNGXo/nb17SrHHqKw0153UFZKPsA+SbRglB+9S67h7a2+/Cpw5nJkfTj6oOyxOFfDLX
TnzIklSpPbLyA0CNnV1BgC4naHtK4gTuv73GtMgsRbrZwsz8s7eJmrwkDy4lPI8M035PjFjiB8EBfYntD938Rl8HuaXKXJPf0iKBZlZeJU
A9k5Dy8GmDbISRBilDVw1vnKtdS1zaCb4pVRzR4cJ3H8wSWb1Qh1yyk9ymer/UX5fZjftAbE7t9qjNOmnTcaChe8Zp1o9PU8z5V3Vt2iGx
/5fQM3Bm4/pGQpksebLNN79YF1dFkgKK0jQLbSKvQXGTl42u+IwmC1hyrJhh7ZYqDdFqxCizHp+idrEUBekTlh2J6OWtk8fu1g7C2qV6BP
dMlzN+KYG17ZgIuAxC17D8xyJAiYL+fcXdPeM8QYTD9Lbr1qloZy6fzknnIvYzXsLH0bIjfYh/oAg08gKsuW5iyM8nc6NY31XDWb/NAZSu
qvVaakh+Fqkq1Fq/BMrGKzKNyTxp3tflNaNlyReqwuOPKeP3z13S+VipbzOIGQ7NAqcvCuiK/FF/yx5zF1w1Dsjw4tUn7i0fSaiGtha9vj
dc/yvcg8gsYVtsJ/zpEo5AGXce6icgAgfCn4lNaZQwCSISlCz2c4vEyS9Bwiz1cHqfgkzeeEJZEOUc/ldoCZA3NdtdcYhD3AOeT5EvvSQc
iePXhYswTt2QF1JhcFQIxFUWcMtt4BlAAAAAD8j+eYAAG2DqAfAACcZ+fqPjANiwIAAAAAAVla
`);

/** `code(4000)` packed by `xz -9e --check=crc64 -c`. */
const XZ = decode(`
/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4A+fByxdAGS/Qg6IAfcXsWkxQWJQBI9AS03sCvx/L43mbBPZLm1SN1WAQxvr2xmmnD+9QO/BPj
6MwbgSWwkK897uDSKhd3pw5TvZ4FGOxGsG3Ifo47+f9H+nMauCNKbWF5LDtfUbiDXHFwnwBXZ2icERhQLR2DvN65Z0uCcappKKgyeGCfK7
pfX0S/pJdS5tmaV8dDU6OJrW8U7Tjj+zT/yHZNkOxUJ9QaCgt1TQzDDs+z3BbQ9Ww2JlgRrhQLscq/wNKFIgtRfpEqzF3gNpiDXNzB2HBT
UeiU1nlT8CYcH/BGsrJnICXepmq41rA09Yoi4r6wYpMOadg2CYCfVXRfKLPq05UGRVQRdPbVFOVI2Cia/iPQ/iZ7E/KrjiXQyHK4w2q4Wz
NjTfMCgufmBYuecmlO9NvagANnzdbdwfYd92fit9OToe75hvaJfEHkKY/3HWtUBPHGJ/6okTAw0+B7GGI+MBbUtYdKd+deobaj/GIcGlv1
8q32WI6SJ9OT25Mkp3JT/g3jabQ8YOXtM3LA1hCroEzmiNYYMDZmrv64wvoGU8y6CTX8CleJUHdTknH9H3hCCv3PoFU7eDee4XC4latWeL
NFJPIU9FpWkQOYU88eeZzfV2J09L8PIkGZZMct0lo7BQ16aIKMAfTQBzfwcyJfD50RRmcUwlJr9OrVvjxqe0J9kE98GDTUOMxBDP4mgqdu
zHhtieHOH7tBKX6GOKWbd41e8+JLjycyESBfLY4Cv1otl77U/xu6b1t8HCT1Kg/3qT19aVg3/n/bNHBFdCbYkb6r2Sfpy+9OnBROxssepT
4CT9WuqtrvKmKuyppJlh2SDhhmqgTD/aXP/gxGpS9fyzXagvUwmCE1Wc8fHNqO1cCOL6DczkYciPidz2MhY7hh56DzppeJXc+C1aUK7UGT
ZllEeByrf4g55a6mlaShgxaFLktHNNxdNr/nCW4xhBwmjSthzHyBEu+EpGpa1AR+e+wNPAB4KcwazpkVuM+1lbX58huRdW1Huai2fEs5Vk
CldCsfxZfYa/VP6+2FTpzSBoD5H+kmL2DwkStv2RqwOAekIP9TyeWwzPzMR/aGzHz9dcIR68PE1thFBdj3ld3F6yGIInrg82a5Wsf6WoQs
vqtt6V0oqR9RMsk6rAd/BCvlEE6pgCQrGUcf4oPBY/HuqQHM5/PoBTS4TmcXR9BCHhEDIerz8W2NPKMtvgvHEM3NQwOaotMVlQJrCQvRCv
rlWPUdiLkzA9Ie5DDg0zEGX/W6VIdEA63f88W0XyT4BKv6ay6lqsRu6qcg932BUASKKu3bV9VwXhhByzZ1w7IFopyvsBGEXdsMTqC/SW7E
Effr0l0ZA18MguL+66MfQQlfO93rwpfePPugcy1X8YvycvzjDxL5PcSCzAgdQtLcBPBaR3ct/2HufY+04wO49vmztCU1mVT1kpVn7JqM4r
bE2HFdbMVosQ8EscgdNLh9JkT2NznsjdMYJdN5zFjbEHM8oznkHeNBMmCRIrs8FxYnKIMyFvOTVjMmf5SOCB3OAaosqeTAG9jBz7TM2aRC
bNs7eyEA24hIFYveJfCA9keXpDLWMaGsURhNI0SCKUaa+v6ijhfiYhEmoT5lm0mOIQcGfbhjQxfGxwKaU1v+zo6fvxJOxWBRiM2xCODiEw
ENpENyfrn8ToNmRKGQEo6K5iMYTtnWfsmtHV+F1OAVwhG3vEOU0bbXvH5vnYjY/ZNTHK07E761Qp3kOpS2tj2s25pzKqQHvAEloYYAc+q9
o2f5oOtyedgJsGOxW9gnP+oxBfql3+Kwaq9MlzRMSlht3EBMWFQDylIpzgGTWTvv2ZnqpzKRksLynTfg9QGaYEOIMhFnPj3j9tCebXUkPT
TMcpTAnik6Eb3iEY7N1FCDXyWybBFZcvBwPGHwA+aeCpLjUmPr70icO3wPEOv8fMgnWJboweGCY0LreIMevTkX2MPnzJcrnzMj5OSmU0a0
apPqaGvKGchvjGOxOZRftGr54+AY6e1DnoxAe77ETIpH4ViOgZnbk7X9MosMg/9Nu+2X+vebC5CfC4BK49wWRPtZfOjcznng7JUCqHR052
x1d/n3d5ic+qRJCDfQW79houiUDm8onl5GbcNfLV2TvxUb8ZJTdLsiC2bNPrm3d/W8KW1In1gVfNlEMo5zBKAkYxjKIGpl3ccFzYLv/alt
k6chPuEwsQM9+IzFnjc2q+KTaRShQGfDec/XncwPDt8pKq5+SLfeURAmYNFXelQZtIZdt3Tlo71We2RIEVs2cV5Y/jenJjFz0uuaQmV2RQ
lOWmJo5VrY+2MsjZ7va8JD3KokXt/hmUCSVTW9Kvd3Np3OOC4vsvsjJ9RdTD78MIGgH8uflq4sK71GxFpYrbFWF23L0C48VInT4ry6EwtW
n46AaIsWA0PUCj1WC9lLq0fGkEbfVyCFGvDbH/0kI7GU8eE1QCcgDDX9NuA+93ZgAByA6gHwAALQvP27HEZ/sCAAAAAARZWg==
`);

/** `code(4000)` packed by `xz -9e --format=lzma -c`. */
const LZMA = decode(`
XQAAAAT//////////wBkv0IOiAH3F7FpMUFiUASPQEtN7Ar8fy+N5mwT2S5tUjdVgEMb69sZppw/vUDvwT4+jMG4ElsJCvPe7g0ioXd6cO
U72eBRjsRrBtyH6OO/n/R/pzGrgjSm1heSw7X1G4g1xxcJ8AV2donBEYUC0dg7zeuWdLgnGqaSioMnhgnyu6X19Ev6SXUubZmlfHQ1Ojia
1vFO044/s0/8h2TZDsVCfUGgoLdU0Mww7Ps9wW0PVsNiZYEa4UC7HKv8DShSILUX6RKsxd4DaYg1zcwdhwU1HolNZ5U/AmHB/wRrKyZyAl
3qZquNawNPWKIuK+sGKTDmnYNgmAn1V0Xyiz6tOVBkVUEXT21RTlSNgomv4j0P4mexPyq44l0MhyuMNquFszY03zAoLn5gWLnnJpTvTb2o
ADZ83W3cH2Hfdn4rfTk6Hu+Yb2iXxB5CmP9x1rVATxxif+qJEwMNPgexhiPjAW1LWHSnfnXqG2o/xiHBpb9fKt9liOkifTk9uTJKdyU/4N
42m0PGDl7TNywNYQq6BM5ojWGDA2Zq7+uML6BlPMugk1/ApXiVB3U5Jx/R94Qgr9z6BVO3g3nuFwuJWrVnizRSTyFPRaVpEDmFPPHnmc31
didPS/DyJBmWTHLdJaOwUNemiCjAH00Ac38HMiXw+dEUZnFMJSa/Tq1b48antCfZBPfBg01DjMQQz+JoKnbsx4bYnhzh+7QSl+hjilm3eN
XvPiS48nMhEgXy2OAr9aLZe+1P8bum9bfBwk9SoP96k9fWlYN/5/2zRwRXQm2JG+q9kn6cvvTpwUTsbLHqU+Ak/Vrqra7ypirsqaSZYdkg
4YZqoEw/2lz/4MRqUvX8s12oL1MJghNVnPHxzajtXAji+g3M5GHIj4nc9jIWO4Yeeg86aXiV3PgtWlCu1Bk2ZZRHgcq3+IOeWuppWkoYMW
hS5LRzTcXTa/5wluMYQcJo0rYcx8gRLvhKRqWtQEfnvsDTwAeCnMGs6ZFbjPtZW1+fIbkXVtR7motnxLOVZApXQrH8WX2Gv1T+vthU6c0g
aA+R/pJi9g8JErb9kasDgHpCD/U8nlsMz8zEf2hsx8/XXCEevDxNbYRQXY95XdxeshiCJ64PNmuVrH+lqELL6rbeldKKkfUTLJOqwHfwQr
5RBOqYAkKxlHH+KDwWPx7qkBzOfz6AU0uE5nF0fQQh4RAyHq8/FtjTyjLb4LxxDNzUMDmqLTFZUCawkL0Qr65Vj1HYi5MwPSHuQw4NMxBl
/1ulSHRAOt3/PFtF8k+ASr+msuparEbuqnIPd9gVAEiirt21fVcF4YQcs2dcOyBaKcr7ARhF3bDE6gv0luxBH369JdGQNfDILi/uujH0EJ
Xzvd68KX3jz7oHMtV/GL8nL84w8S+T3EgswIHULS3ATwWkd3Lf9h7n2PtOMDuPb5s7QlNZlU9ZKVZ+yajOK2xNhxXWzFaLEPBLHIHTS4fS
ZE9jc57I3TGCXTecxY2xBzPKM55B3jQTJgkSK7PBcWJyiDMhbzk1YzJn+UjggdzgGqLKnkwBvYwc+0zNmkQmzbO3shANuISBWL3iXwgPZH
l6Qy1jGhrFEYTSNEgilGmvr+oo4X4mIRJqE+ZZtJjiEHBn24Y0MXxscCmlNb/s6On78STsVgUYjNsQjg4hMBDaRDcn65/E6DZkShkBKOiu
YjGE7Z1n7JrR1fhdTgFcIRt7xDlNG217x+b52I2P2TUxytOxO+tUKd5DqUtrY9rNuacyqkB7wBJaGGAHPqvaNn+aDrcnnYCbBjsVvYJz/q
MQX6pd/isGqvTJc0TEpYbdxATFhUA8pSKc4Bk1k779mZ6qcykZLC8p034PUBmmBDiDIRZz494/bQnm11JD00zHKUwJ4pOhG94hGOzdRQg1
8lsmwRWXLwcDxh8APmngqS41Jj6+9InDt8DxDr/HzIJ1iW6MHhgmNC63iDHr05F9jD58yXK58zI+TkplNGtGqT6mhryhnIb4xjsTmUX7Rq
+ePgGOntQ56MQHu+xEyKR+FYjoGZ25O1/TKLDIP/Tbvtl/r3mwuQnwuASuPcFkT7WXzo3M554OyVAqh0dOdsdXf593eYnPqkSQg30Fu/Ya
LolA5vKJ5eRm3DXy1dk78VG/GSU3S7IgtmzT65t3f1vCltSJ9YFXzZRDKOcwSgJGMYyiBqZd3HBc2C7/2pbZOnIT7hMLEDPfiMxZ43Nqvi
k2kUoUBnw3nP153MDw7fKSqufki33lEQJmDRV3pUGbSGXbd05aO9VntkSBFbNnFeWP43pyYxc9LrmkJldkUJTlpiaOVa2PtjLI2e72vCQ9
yqJF7f4ZlAklU1vSr3dzadzjguL7L7IyfUXUw+/DCBoB/Ln5auLCu9RsRaWK2xVhdty9AuPFSJ0+K8uhMLVp+OgGiLFgND1Ao9VgvZS6tH
xpBG31cghRrw2x/9JCOxlPHhZyPLtY/v54uw==
`);

/** `code(4000)` packed by `lz4 -l -9 -c`. */
const LZ4 = decode(`
AiFMGCwJAADzC8n9MOj4dgAA6NOyAABI6I2MAABIiceQbW92BwA06Qp2EwABBgAABQACDwAS6AcAE2wpAGPo6OgASIkfAFBIicfpcVcAse
jo6Rk7AADpRP0ADgBg/0hI6P//JgBCiOhwf1oAEsQxAANXANN2cUHo6Oi0MwAA6M8OewA46ZUamAADegAQnwsAwJuwAADoAOmE4gAAtRcA
Meg642kABDoAe8tRAADpVkLXABALOwABsQAYUhgAEkeHAAITADHpEN1KADHoCFs+APIHHunPBgAAy2nomBIAAOgDRwAA6W4vAPQAAjQAMu
jOM2gAQT/pZDkKAHDo3DEAAOiHhAAgAtxOAGP/SInoWDmOAAgvAQBRATHoAMlHAMoXbAAA6BKKAADoHRC5ADDp7AARADLp9azlAAeZAStv
dqYBEG1vATPpuyZCADXo8eA0AHTpJXkAAFpIugF1l0IAAOlyR5YAkejoAOjognwAACIAQkjpV+oLAPMN6R63AADomSAAAOnUcwAA6X+uAA
BX6Oj/6Oi11S0AAcYANADo6NkAQ0joqr9YADQdSIicABQSqwAwR+j2PwABGAFSx+jovm4sAFFIiegDVK4AVUiJ6BmqgQIDYwBDheklwZIA
cHwHAADo10q8AgL0AUNI6XkWlQEDlgIkmfQMAiSvgkoAEPNvAPUSYDwAAOkbEgAA6bbFAADo0f7//+jpq2kAAOl2swAA6XGJfAGB6UVdAA
DpMCR9AWXM6eftAABBAjbHkEhzASdvZQwAE3U+APQCaejo6BQ9AABI6c7HAADoqUhYAHHoAJRIielZegMls+oWACm4vSACANoBBFsBBJAA
JAUMKQGxwEiJ6BfPAADpMroTAPQESOnpsQAA6FR0AADovzYAAOjqwFkApOnvcQAA6IpLAAA6AgBRATPo6bAxA0ToD3QA0QABIAG4iQAA6e
upAADopq0EBPcB6OfIAADpgjgAAOjdyQAA0QEEAiYAENhNAHoiwgAA6c2XwAI16NzfjgChcSMAADIWnugJmJEAFAAZBAJPATGe6aFmAQKr
ADHo1OelAPIKxDHomqAAAOnV1gAA6JC1AADpO9YAAOn2YFYAUuj/6cslNgBD6ADo0EgBEUjdACAyAzMCOOj7Uh4CUV3NAABNOgDF6OjokA
oAAOj/6eketAAT5McCNOgVKdUCBWgDZelBHAAAsrgEFOgAAzB26fgGBLPpkhUAAOktogAAD8wBdCLp/5MAAJObA1Xo/+n/PvQBA/sAUOjo
6JoICwEA7QAioGWABFD///nibRsABGEBAikFZ4rpH3IAAHACZnbpzv3//6gBBOUAJcif0QASPQgAEFZ+ACgxsUQEMfw9iggBAisAMOm0lB
0AJy2GXwAEUwAx6LjdhATwAbFaAADp/Pz//+lnwAAA6NIWBcjthAAA6YiJAAAZSMGaAAL9AdX/6F2PAADoSJoAAEjAGgAHIwAABAAQ0bsB
J2UAOAKV+OlWlAAA6ZHCZAQDNQEgH2QmACB7hCQBK+jo/wQ06NFv+gQAUgAM1wYjU0wzAjwAFegdAF/oVpMAAKAABAp1BVBIienKqCoBUT
T///83OgEnegcsAwESACKYFC8EDJoBBVsANukm4XAAFkhPA3P/SEiJ6eoY9QFj6QByAADVHgAZDEEGgOlVVQAA6dBjEAM0zwAAUgYBgQUA
DAADqAQyiUgrtwQERwQg3ptsAnaouQAA6RMBDgIL9QEAKgAl5EhXAAAoAjzp9IIpCBNIRwPD/0jZTeglSQAA6SA6UwADrwFSEAEAAPuSAS
ClglAFAcUGgRp4AACK6VTGVAIhraS+AyDWvPABcRcAADDoABI/ADDpI5PoB5UA7VLo6Ejp9rd4BwKlAAHwAxawuQNh6CT4//8CkgAkekI3
AmPpPx0AAI2NAGgjRgAAq9OJAVNI6Oj/j9wDJnUDSwAVRZIBBxgBMegzYiIAfybpWigAAImCBwAESQEFiwcSyR4AEUnsBnMWSOj/6N8XhA
IX6PAFJEgzbwBgAAAu6WzlIwBGHOnkM5EAcjjvAADpozuRARTo8QMH8gNwSIno/+ni+AwEAbQABJkJMugOwDgBOOdIiSEEx8cDAADpkvMA
AOgtTB4FOen/mPsJNegfHR4ACPQGIHkcEgJicpkAAOl9KwkI5wIy6FlS/wJg//8y6b3IjQECRAAy6QBXEwr0DP9Iien09///3ZbpXSUAAG
az6OjphIwAAOnfV7oHTtXDAABkAaBvdum8UAAA6Scw4AVmbgAA6R03xgIJIAkC+AJh//9I6GpaIwBW098AAHctBCkU1esABGIEIH0qdgIC
pAAFZgFjbW/o6YQqzgkCMAoHFgsoyjRhBhH/OwBAN0iJ2AkAVkiJ6Eu1xAURAbkCA1sAE0V7Ajba6wBLBijNhs0KAc0BIOmpegIH/gIGEg
Hl6Oi9GgAA6CiqAADoI7ZcAmbo///pVEa7AQUFACXpvosIFkMWAESj6bcPcQAlzRGuAAB/BvMAjrUAAOhpHwAA6RQYAAAEsgBXWEAAALv2
AUF66P//cwcij3V1AATUBDvoPk4PCCD93DAGBQcHiOmdZgAAhkiJqgBGb+lYBOcGCZ4Byn+7AADoupEAAOn1wwoHOujEE2oABJIBIEj1yw
AhJs6ZADTornrpABZ07QkhSGI4ASHSAYsEppsGAADpRtcAAIScCPcMb93pBK0AAOlfQQAASAHoAADplbIAAOmQsAAAQQwF8AUHzABAielL
TlAJF697B1RjSInHr+EJAJkHJqiuAgJQSInpaVBXAE/56KGE0wACAfsEL+joCgwFRG/o+XGXADXp7ibHCAXOBxbo5grgHwkAAOk6jwAA/U
iJ6fKBC4n/Kznp+cwAAM0EZG9IielEhhAGYpVIidnojosAEK44C3NZggAA6DTQSQgVy6QIBeoCA8sME4EZDAVeAyLor8EFBC4CJADSHwAC
4AA06A9irwEohZ4MAQd1AUdv6PrFJQkFMgkIIwAJggIiS24LAjXoAIGLCYLp9jgAAOmBZJ8EBGkARafoD7J2ABKDUQAF6QxGkOgCq4UMBI
YFYejoAOka37kGMelSvoAKtssDAACr6GW0AAB9iAA26TWq3wXQ2T8AAEiJx5Btb0iJxw==
`);

function decode(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** Bytes that look like x86 code: calls and jumps with near targets among other things. */
function code(bytes: number): Uint8Array {
  const random = seededRandom(1);
  const out: number[] = [];
  while (out.length < bytes) {
    const kind = random() % 8;
    if (kind < 2) {
      out.push(0xe8 + (random() & 1));
      const target = random() % 4096 * 16 - out.length - 4;
      out.push(target & 0xff, target >> 8 & 0xff, target >> 16 & 0xff, target >> 24 & 0xff);
    } else if (kind === 2) {
      for (let n = 1 + random() % 3; n > 0; n--) out.push(0xe8);
      const top = random() & 1 ? 0xff : 0;
      for (let n = random() % 3; n > 0; n--) out.push(top);
    } else if (kind === 3) out.push(random() & 255);
    else out.push(...[0x48, 0x89, 0xc7, 0x90, 0x6d, 0x6f, 0x76].slice(0, 1 + random() % 7));
  }
  return Uint8Array.from(out.slice(0, bytes));
}

const EXPECTED = code(4000);
const PACKED: [string, Uint8Array][] = [
  ["xz", X86_XZ],
  ["xz", XZ],
  ["lzma", LZMA],
  ["lz4", LZ4],
  ["gzip", gzipSync(EXPECTED)],
  ["zstd", zstdCompressSync(EXPECTED)],
];

PACKED.forEach(([format, packed], i) => {
  Deno.test(`unpacking gives the bytes that were packed when the file is ${format} (${i})`, () => {
    assertEquals<string | null>(compressionOf(packed), format);
    assertEquals(new Uint8Array(unpack(new ImageReader("packed", packed), 4000, 4000)), EXPECTED);
  });

  Deno.test(`unpacking refuses when a ${format} file (${i}) unpacks to more than the limit`, () => {
    assertThrows(
      () => unpack(new ImageReader("packed", packed), 4000, 3999),
      GuestError,
      "Cannot load packed",
    );
  });

  Deno.test(`unpacking ends cleanly when a ${format} file (${i}) is cut off or changed`, () => {
    const random = seededRandom(i + 100);
    let refused = 0;
    for (let n = 0; n < 400; n++) {
      let bytes = packed.slice();
      if (n % 4 === 0) bytes = bytes.slice(0, random() % bytes.length);
      else for (let k = 0; k <= n % 3; k++) bytes[random() % bytes.length] ^= 1 << random() % 8;
      try {
        assert(unpack(new ImageReader("packed", bytes), 4000, 1 << 16).length <= 1 << 16);
      } catch (e) {
        if (!(e instanceof GuestError)) throw new Error(`seed ${i + 100}, mutation ${n}: ${e}`, { cause: e });
        refused++;
      }
    }
    assert(refused > 50, `only ${refused} of 400 were refused`);
  });
});

Deno.test("unpacking refuses with one sentence when the compression is not read", () => {
  for (const [name, magic] of [["bzip2", "BZh9"], ["lzop", "\x89LZO"]]) {
    const bytes = Uint8Array.from(magic, (c) => c.charCodeAt(0));
    assertThrows(
      () => unpack(new ImageReader("f", bytes), null, 100),
      GuestError,
      `the compression ${name} cannot be read`,
    );
  }
  assertThrows(
    () => unpack(new ImageReader("f", LZMA), null, 5000),
    GuestError,
    "does not say the unpacked size",
  );
});
